#!/usr/bin/env bash
# JAX on CPU treats denormal numbers as zero, even in comparisons.
#
# Expected: float32 arithmetic on a CPU follows IEEE 754, as that of NumPy and PyTorch does: 1e-20 squared is
# 1e-40.
#
# What happens: arithmetic, comparisons and logarithms of JAX on the CPU backend, jitted or not, read numbers
# below 1.18e-38 as 0 and return 0 for them; operations on the sign keep them. An array that holds 1e-40 prints
# so, yet `x > 0` is False, `x == 0` is True and `log(x)` is -inf. Adam without an epsilon divides 1e-20 by 0
# where NumPy, in float32 too, returns 1.
#
# Why it matters here: second moments of gradients below 1e-19 vanish, so an optimizer with a small or no epsilon
# behaves differently in JAX and PyTorch on the same machine; and a check of `x == 0` on the host disagrees with
# one in the program.
#
# Seen with: jax==0.10.2, jaxlib==0.10.2, numpy==2.4.6, optax==0.2.8; CPython 3.11, x86-64 Linux, CPU; 2026-11-28.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 optax==0.2.8
JAX_PLATFORMS=cpu venv/bin/python - <<'EOF'
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np
import optax

print(*(f"{name} {version(name)}" for name in ["jax", "jaxlib", "numpy", "optax"]), sep=", ")
tiny = np.float32(1e-40)
x = jnp.asarray(tiny)
print("holds", np.asarray(x), "x > 0:", x > 0, "x == 0:", x == 0, "2 x:", x + x, "log:", jnp.log(x))
assert np.asarray(x) == tiny
assert tiny > 0
assert not x > 0
assert x == 0
assert x + x == 0
assert jnp.log(x) == -np.inf
assert np.asarray(-x) == -tiny

small = np.float32(1e-20)
print("1e-20 squared: NumPy", small * small, "JAX", jax.jit(jnp.square)(small))
assert small * small > 0
assert jax.jit(jnp.square)(small) == 0

gradient = jnp.full(1, small)
adam = optax.scale_by_adam(b1=0.0, b2=0.0, eps=0.0)
update, _ = adam.update(gradient, adam.init(gradient))
print("Adam without epsilon: NumPy", small / np.sqrt(small * small), "optax", update[0])
assert np.isclose(small / np.sqrt(small * small), 1, rtol=1e-2)
assert np.isinf(update[0])
EOF
