#!/usr/bin/env bash
# jax.random.normal in bfloat16 has 128 values, the largest 2.52.
#
# Expected: normal numbers in bfloat16 are those of float32, rounded: tails beyond 4 in a million draws.
#
# What happens: a million draws have 128 different values, from -2.89 to 2.52, and none near 0: the numbers are
# made from uniform ones of 7 random bits. In float16 there are 1024 values up to 3.5. The same key in float32,
# cast, has tails to 4.6 and more than a thousand values.
#
# Why it matters here: parameters that are initialized, and noise that is added, in the dtype of the computation
# lack all tails; they should be drawn in float32 and cast.
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
import numpy as np

print(*(f"{name} {version(name)}" for name in ["jax", "jaxlib", "numpy"]), sep=", ")
key = jax.random.key(0)


def describe(label, drawn):
    values = np.unique(np.asarray(drawn.astype(jnp.float32)))
    nearest = np.abs(values).min()
    print(
        f"{label}: {len(values)} values in [{values[0]}, {values[-1]}], the one nearest to 0 is {nearest:.5f}"
    )
    return values


direct = describe("bfloat16", jax.random.normal(key, (1_000_000,), jnp.bfloat16))
half = describe("float16", jax.random.normal(key, (1_000_000,), jnp.float16))
cast = describe("float32, cast to bfloat16", jax.random.normal(key, (1_000_000,)).astype(jnp.bfloat16))
assert len(direct) == 128, "bfloat16 normals have other values now"
assert np.abs(direct).max() < 3
assert direct.max() < 2.6
assert len(half) == 1024
assert np.abs(half).max() < 3.6
assert np.abs(cast).max() > 4.4
assert len(cast) > 1000
EOF
