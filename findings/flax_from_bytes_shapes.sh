#!/usr/bin/env bash
# flax: from_bytes and from_state_dict check the names against the target, not shapes or types.
#
# Expected: the target says what is to be restored; an array of another shape or type raises, as a missing or an
# additional name does.
#
# What happens: the target's arrays are only replaced: float32 of shape (3,) becomes int32 of shape (5, 2), with
# no error. Names are checked.
#
# Why it matters here: a checkpoint of another variant of a model loads without a complaint where the layers have
# the same names. Broadcasting may even let the model run.
#
# Seen with: jax==0.10.2, jaxlib==0.10.2, numpy==2.4.6, flax==0.12.8; CPython 3.11, x86-64 Linux, CPU; 2026-11-28.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 flax==0.12.8
JAX_PLATFORMS=cpu venv/bin/python - <<'EOF'
from importlib.metadata import version

import jax.numpy as jnp
from flax import serialization

print(*(f"{name} {version(name)}" for name in ["jax", "jaxlib", "numpy", "flax"]), sep=", ")
target = {"bias": jnp.zeros(3)}
for restored in (
    serialization.from_bytes(target, serialization.to_bytes({"bias": jnp.ones((5, 2), jnp.int32)})),
    serialization.from_state_dict(target, {"bias": jnp.ones((5, 2), jnp.int32)}),
):
    found = restored["bias"]
    print("target: float32, (3,); restored:", found.dtype, found.shape)
    assert (found.dtype, found.shape) == (jnp.int32, (5, 2)), "shapes are checked now"
try:
    serialization.from_state_dict(target, {"scale": jnp.ones(3)})
except ValueError as error:
    print("another name:", str(error).splitlines()[0])
else:
    raise AssertionError("names are not checked now")
EOF
