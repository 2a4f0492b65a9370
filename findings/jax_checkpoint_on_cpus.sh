#!/usr/bin/env bash
# jax.checkpoint saves no memory on a CPU, except around the body of a scan.
#
# Expected: with `jax.checkpoint` around each layer, the backward pass computes the layer's intermediate results again,
# and the memory for them is saved, at the price of more operations.
#
# What happens: JAX emits barriers that keep the second computation apart from the first. XLA removes them on CPUs before
# it looks for common subexpressions, finds the second computation, and keeps the results of the first. Memory and the
# number of operations are about those without `jax.checkpoint`. In a scan, the two computations are in two loops, which
# are not merged.
#
# Why it matters here: a model that relies on it needs several times as much memory on a CPU as on a GPU, and memory that
# is measured on a CPU says nothing about `jax.checkpoint`. workloads/layers/recomputation.py does without it: there the
# second computation depends on the cotangents.
#
# Seen with: jax==0.10.2, jaxlib==0.10.2, numpy==2.4.6; CPython 3.11, x86-64 Linux, CPU; 2026-11-29.
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
LAYERS, ROWS, WIDTH = 16, 65_536, 16
one = ROWS * WIDTH * 4


def layer(x, w):
    for _ in range(3):
        x = jnp.sin(x @ w)
    return x


def written_out(layer):
    def summed(x, ws):
        for index in range(LAYERS):
            x = layer(x, ws[index])
        return x.sum()

    return summed


def scanned(layer):
    return lambda x, ws: jax.lax.scan(lambda x, w: (layer(x, w), None), x, ws)[0].sum()


def compiled(summed):
    shapes = [jax.ShapeDtypeStruct(shape, "float32") for shape in ((ROWS, WIDTH), (LAYERS, WIDTH, WIDTH))]
    lowered = jax.jit(jax.grad(summed, argnums=(0, 1))).lower(*shapes)
    return lowered.as_text().count("optimization_barrier"), lowered.compile()


found = {}
for form in (written_out, scanned):
    for label, function in (("plain", layer), ("checkpoint", jax.checkpoint(layer))):
        barriers, program = compiled(form(function))
        left = program.as_text().count("opt-barrier")
        found[form.__name__, label] = program.memory_analysis().temp_size_in_bytes / one
        print(f"{form.__name__}, {label}: {barriers} barriers before and {left} after compilation, "
              f"room for {found[form.__name__, label]:.1f} arrays")
assert found["scanned", "checkpoint"] < 0.5 * found["scanned", "plain"]
assert found["written_out", "checkpoint"] > 0.8 * found["written_out", "plain"], "it saves memory now"
EOF
