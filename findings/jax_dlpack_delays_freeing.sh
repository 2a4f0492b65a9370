#!/usr/bin/env bash
# JAX: an array that was lent through DLPack keeps its memory after both sides are deleted.
#
# Expected: on CPU the memory of a JAX array is freed with its last user. Without DLPack it is, and a weak reference to
# the array tells when.
#
# What happens: after `tensor = torch.from_dlpack(array)` and `del tensor, array` the weak reference is dead, and the
# memory stays. It goes when the garbage collector runs next, be it over its youngest generation, or with the next
# operation of JAX. Operations of torch do not free it. numpy.from_dlpack does the same, numpy.asarray does not.
#
# Why it matters here: a converted table of gigabytes is still there while torch allocates its own copy, the moments of
# the optimizer and the gradients, although nothing refers to it: code that only calls torch can run for
# long before the collector starts, which counts objects, not bytes.
#
# Seen with: jax==0.10.2, jaxlib==0.10.2, numpy==2.4.6, torch==2.13.0; CPython 3.11, x86-64 Linux, CPU; 2026-11-29.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0
venv/bin/pip install --quiet jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
JAX_PLATFORMS=cpu venv/bin/python - <<'EOF'
import gc
import weakref
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np
import torch

print(*(f"{name} {version(name)}" for name in ["jax", "jaxlib", "numpy", "torch"]), sep=", ")
MEBIBYTES = 256
fill = jax.jit(lambda: jnp.ones(MEBIBYTES * 2**18, jnp.float32))
torch_numbers = torch.ones(1000)
small = jnp.ones(3)


def resident() -> float:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) / 1024


def left(lend, free=lambda: None) -> float:
    """MiB that are left after the array and what shares its memory were deleted, and `free` was called."""
    array = jax.block_until_ready(fill())
    lent = lend(array)
    reference = weakref.ref(array)
    del lent, array
    assert reference() is None
    free()
    seen = resident() - before
    gc.collect()
    return seen


gc.disable()  # Only to choose the moment.
jax.block_until_ready(fill())
torch.from_dlpack(small), np.asarray(small), jax.block_until_ready(small + 1), torch_numbers + 1
gc.collect()
before = resident()
lent = {
    "not lent": left(lambda array: None),
    "numpy.asarray": left(np.asarray),
    "torch.from_dlpack": left(torch.from_dlpack),
    "numpy.from_dlpack": left(np.from_dlpack),
    "torch.from_dlpack, then 100 operations of torch": left(
        torch.from_dlpack, lambda: [torch_numbers + 1 for _ in range(100)]
    ),
    "torch.from_dlpack, then one operation of JAX": left(
        torch.from_dlpack, lambda: jax.block_until_ready(small + 1)
    ),
    "torch.from_dlpack, then gc.collect(0)": left(torch.from_dlpack, lambda: gc.collect(0)),
}
for name, mebibytes in lent.items():
    print(f"{name}: {mebibytes:.0f} of {MEBIBYTES} MiB are left")
kept = [mebibytes > MEBIBYTES / 2 for mebibytes in lent.values()]
assert kept == [False, False, True, True, True, False, False], "the memory is freed at other times now"
EOF
