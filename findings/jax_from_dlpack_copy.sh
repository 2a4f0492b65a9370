#!/usr/bin/env bash
# jnp.from_dlpack: copy=True shares memory, and copy=False copies.
#
# Expected: `copy=True` always copies and `copy=False` never does, or raises: the documentation of the function
# and the array API standard say so.
#
# What happens: with `copy=True` the JAX array shares the memory of a NumPy array that is aligned to 64 bytes, so
# a later write shows up in the JAX array. With `copy=False` an array of float64 is copied and narrowed to float32
# without an error, and so is one of int64, whose values change: 2**32 + 5 becomes 5.
#
# Why it matters here: tensors cross from PyTorch to JAX through DLPack. The keyword that one would reach for to
# be safe does nothing: parameters that an optimizer updates in place change inside an "immutable" JAX array. The
# other keyword is no proof that nothing was copied or narrowed.
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

import jax.numpy as jnp
import numpy as np

print(*(f"{name} {version(name)}" for name in ["jax", "jaxlib", "numpy"]), sep=", ")
room = np.zeros(4096, np.uint8)
start = -room.ctypes.data % 64
floats = room[start : start + 64].view(np.float32)
floats[:] = 0

copied = jnp.from_dlpack(floats, copy=True)
floats[0] = 7
print("copy=True, float32, written to afterwards:", copied[0])
assert copied[0] == 7, "copy=True copies now"
floats[0] = 0
really_copied = jnp.array(floats, copy=True)
floats[0] = 7
assert really_copied[0] == 0

doubles = room[start + 64 : start + 64 + 128].view(np.float64)
doubles[:] = 0
shared = jnp.from_dlpack(doubles, copy=False)
doubles[0] = 7
print("copy=False, float64, written to afterwards:", shared[0], "of", shared.dtype)
assert shared.dtype == jnp.float32, "copy=False refuses float64 now"
assert shared[0] == 0

integers = room[start + 256 : start + 256 + 16].view(np.int64)
integers[:] = 2**32 + 5, 3
print("copy=False, int64:", integers, "becomes", jnp.from_dlpack(integers, copy=False))
assert jnp.from_dlpack(integers, copy=False).tolist() == [5, 3]
EOF
