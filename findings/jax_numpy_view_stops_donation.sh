#!/usr/bin/env bash
# A NumPy view of a JAX array switches its donation off, silently.
#
# Expected: an argument that is donated to a jitted function is given up: its memory is used again, it counts as
# deleted, and reading it raises. If that is impossible there is a warning.
#
# What happens: on the CPU backend, while any `np.asarray(x)` of the array is alive, donating `x` does nothing: no
# memory is used again, `x` is not deleted and can be read, and there is no warning. Without the view, or after it
# is gone, donation works.
#
# Why it matters here: keeping one NumPy view of the parameters, for a log or a checkpoint, doubles the memory of
# the train step, and hides the use of donated arrays, which then fails on other devices or once the view is gone.
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

import jax
import jax.numpy as jnp
import numpy as np

print(*(f"{name} {version(name)}" for name in ["jax", "jaxlib", "numpy"]), sep=", ")
warnings.simplefilter("error")
step = jax.jit(lambda x: x + 1, donate_argnums=0)


def donate(keep_view):
    x = jnp.zeros(100_000)
    place = x.unsafe_buffer_pointer()
    view = np.asarray(x) if keep_view else None
    y = step(x)
    found = {"deleted": x.is_deleted(), "memory used again": y.unsafe_buffer_pointer() == place}
    del view
    return found


print("without a view:", donate(False))
print("with a view:   ", donate(True))
assert donate(False) == {"deleted": True, "memory used again": True}
assert donate(True) == {"deleted": False, "memory used again": False}, "a view no longer stops donation"
EOF
