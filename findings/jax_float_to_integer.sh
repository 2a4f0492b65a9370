#!/usr/bin/env bash
# Floats beyond the range of an integer: x.astype(dtype) saturates, jnp.asarray(x, dtype) wraps.
#
# Expected: a conversion of one array to uint8 has one result in JAX, that of NumPy.
#
# What happens: `.astype` of a JAX array saturates and takes NaN for 0, while `jnp.asarray(x, dtype=...)` and
# `jnp.uint8(x)` of the same NumPy array convert on the host, where -1, 256 and 300 become 255, 0 and 44 and large
# floats the smallest int32.
#
# Why it matters here: pixels that an augmentation or a resize took beyond 0..255 become black on the host and
# white on the device, as soon as a conversion moves from one to the other. They have to be clipped before.
#
# Seen with: jax==0.10.2, jaxlib==0.10.2, numpy==2.4.6; CPython 3.11, x86-64 Linux, CPU; 2026-11-28.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
JAX_PLATFORMS=cpu venv/bin/python - <<'EOF'
import warnings
from importlib.metadata import version

import jax.numpy as jnp
import numpy as np

print(*(f"{name} {version(name)}" for name in ["jax", "jaxlib", "numpy"]), sep=", ")
warnings.simplefilter(
    "ignore", RuntimeWarning
)  # NumPy warns about NaN and about floats beyond int32, not about 300
pixels = np.array([-1, 256, 300], np.float32)
host, device = jnp.asarray(pixels, dtype=jnp.uint8), jnp.asarray(pixels).astype(jnp.uint8)
print(pixels, "to uint8: NumPy", pixels.astype(np.uint8))
print("jnp.asarray", host, "jnp.uint8", jnp.uint8(pixels), ".astype", device)
assert pixels.astype(np.uint8).tolist() == host.tolist() == jnp.uint8(pixels).tolist() == [255, 0, 44]
assert device.tolist() == [0, 255, 255]

large = np.array([np.nan, 3e9, -3e9], np.float32)
host, device = jnp.asarray(large, dtype=jnp.int32), jnp.asarray(large).astype(jnp.int32)
print(large, "to int32: jnp.asarray", host, ".astype", device)
assert host.tolist() == [-(2**31)] * 3
assert device.tolist() == [0, 2**31 - 1, -(2**31)]
EOF
