#!/usr/bin/env bash
# Beyond 448, JAX makes NaN of a float8_e4m3fn number, torch makes it 448.
#
# Expected: one format, which crosses between the frameworks without a copy, has one conversion.
#
# What happens: float8_e4m3fn has no infinity. torch's conversion saturates: 1000 becomes 448. That of JAX, and of
# ml_dtypes in NumPy, gives NaN for everything that rounds beyond 448. In float8_e5m2 both overflow to infinity.
#
# Why it matters here: scaled 8-bit training is written for one of the two: code that relies on saturation trains
# in torch and is NaN in JAX. Values have to be clipped before they are converted.
#
# Seen with: torch==2.13.0, numpy==2.4.6, jax==0.10.2, jaxlib==0.10.2, ml_dtypes==0.6.0; CPython 3.11, x86-64
# Linux, CPU; 2026-11-28.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0
venv/bin/pip install --quiet numpy==2.4.6 jax==0.10.2 jaxlib==0.10.2 ml_dtypes==0.6.0
JAX_PLATFORMS=cpu venv/bin/python - <<'EOF'
from importlib.metadata import version

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import torch

print(*(f"{name} {version(name)}" for name in ["torch", "numpy", "jax", "jaxlib", "ml_dtypes"]), sep=", ")
numbers = np.array([449, 500, 1000, -1000], np.float32)
in_jax = np.asarray(jnp.asarray(numbers).astype(jnp.float8_e4m3fn).astype(jnp.float32))
with np.errstate(all="ignore"):
    in_numpy = numbers.astype(ml_dtypes.float8_e4m3fn).astype(np.float32)
in_torch = torch.from_numpy(numbers).to(torch.float8_e4m3fn).float().numpy()
print(f"{numbers} as float8_e4m3fn: JAX {in_jax}, ml_dtypes {in_numpy}, torch {in_torch}")
np.testing.assert_array_equal(in_jax, [448, np.nan, np.nan, np.nan])
np.testing.assert_array_equal(in_numpy, in_jax)
np.testing.assert_array_equal(in_torch, [448, 448, 448, -448])

large = np.array([1e6, -1e6], np.float32)
in_jax = np.asarray(jnp.asarray(large).astype(jnp.float8_e5m2).astype(jnp.float32))
in_torch = torch.from_numpy(large).to(torch.float8_e5m2).float().numpy()
print(f"{large} as float8_e5m2: JAX {in_jax}, torch {in_torch}")
np.testing.assert_array_equal(in_jax, [np.inf, -np.inf])
np.testing.assert_array_equal(in_torch, [np.inf, -np.inf])
EOF
