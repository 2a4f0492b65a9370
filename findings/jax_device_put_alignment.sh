#!/usr/bin/env bash
# jax.device_put shares a NumPy array's memory, or copies it: its alignment decides.
#
# Expected: the transfer of a host array to a device copies it, on the CPU backend as on others; or it never does.
#
# What happens: on the CPU backend `jax.device_put` takes the memory of a NumPy array as it is where the array
# starts at a multiple of 64 bytes, and copies it elsewhere. NumPy's own small arrays start at multiples of 16, so
# most are copied and some not; memory maps and shared memory begin at a page and are always shared. `jnp.asarray`
# and `jnp.array` copy in each case.
#
# Why it matters here: a pipeline that fills one buffer for batch after batch works in most tests, and in some
# runs changes batches that were handed out already. With worker processes that write rows into shared memory it
# always does. Rows have to be copied out of such memory first.
#
# Seen with: jax==0.10.2, jaxlib==0.10.2, numpy==2.4.6; CPython 3.11, x86-64 Linux, CPU; 2026-11-28.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
JAX_PLATFORMS=cpu venv/bin/python - <<'EOF'
import mmap
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np

print(*(f"{name} {version(name)}" for name in ["jax", "jaxlib", "numpy"]), sep=", ")
room = np.zeros(4096, np.uint8)
start = -room.ctypes.data % 64


def shares(make, rows):
    """Whether the JAX array shows what is written into the NumPy array later."""
    rows[:] = 0
    made = jax.block_until_ready(make(rows))
    rows[0] = 5
    return bool(made[0] == 5)


for offset in (0, 4, 16, 32, 48, 64, 128):
    rows = room[start + offset : start + offset + 400].view(np.float32)
    found = {make.__name__: shares(make, rows) for make in (jax.device_put, jnp.asarray, jnp.array)}
    print(
        f"{offset:3d} bytes behind a multiple of 64, memory shared by:", [name for name in found if found[name]]
    )
    assert found == {"device_put": offset % 64 == 0, "asarray": False, "array": False}, found

pages = mmap.mmap(-1, 4096)
mapped = np.frombuffer(pages, np.float32)
print("memory map, shared by device_put:", shares(jax.device_put, mapped))
assert shares(jax.device_put, mapped)
EOF
