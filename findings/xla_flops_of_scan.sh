#!/usr/bin/env bash
# XLA's cost analysis counts the body of a scan once, however often it runs.
#
# Expected: `compiled.cost_analysis()["flops"]` of ten matrix products in a `lax.scan` of known length is that of
# ten products written out.
#
# What happens: it is that of one product, for 10 as for 1000 repetitions, though the length is a constant of the
# program.
#
# Why it matters here: utilization figured from it is too low by the number of layers for a model that scans over
# them, and by the number of micro-batches where gradients are accumulated; so a submission seems to compute less
# than it does.
#
# Seen with: jax==0.10.2, jaxlib==0.10.2, numpy==2.4.6; CPython 3.11, x86-64 Linux, CPU; 2026-11-28.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
JAX_PLATFORMS=cpu venv/bin/python - <<'EOF'
from importlib.metadata import version

import jax
import jax.numpy as jnp

print(*(f"{name} {version(name)}" for name in ["jax", "jaxlib", "numpy"]), sep=", ")
square = jnp.ones((64, 64))


def scanned(length):
    return lambda x, w: jax.lax.scan(lambda carry, _: (carry @ w, None), x, None, length=length)[0]


def written_out(x, w):
    for _ in range(10):
        x = x @ w
    return x


def flops(function):
    return jax.jit(function).lower(square, square).compile().cost_analysis()["flops"]


one = 2 * 64**3
found = {
    "written out, 10 times": flops(written_out),
    "scan of 10": flops(scanned(10)),
    "scan of 1000": flops(scanned(1000)),
}
for label, count in found.items():
    print(f"{label}: {count / one:.2f} products")
assert round(found["written out, 10 times"] / one) == 10
assert round(found["scan of 10"] / one) == 1, "the analysis multiplies by the length now"
assert round(found["scan of 1000"] / one) == 1
EOF
