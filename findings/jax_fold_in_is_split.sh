#!/usr/bin/env bash
# jax.random.fold_in(key, i) is jax.random.split(key, n)[i].
#
# Expected: both make new keys, in ways of their own; a key that is split and also folded into gives unrelated
# keys.
#
# What happens: with the default generator the two are one function: folding in 0, 1, 2 gives just the keys of
# `split`, for any n.
#
# Why it matters here: `key, dropout = split(key)` for one purpose and `fold_in(key, step)` of the same key for
# another meet at once: step 1 has the dropout mask of the other purpose. A key must be either split or folded
# into.
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
import numpy as np

print(*(f"{name} {version(name)}" for name in ["jax", "jaxlib", "numpy"]), sep=", ")
key = jax.random.key(123)
for count in (2, 5):
    split = jax.random.key_data(jax.random.split(key, count))
    folded = np.stack([jax.random.key_data(jax.random.fold_in(key, i)) for i in range(count)])
    print(f"split into {count}:", np.asarray(split).tolist())
    print(f"folded in 0..{count - 1}:", folded.tolist())
    assert (split == folded).all(), "fold_in and split differ now"
first, second = jax.random.split(key)
assert (jax.random.uniform(second, (4,)) == jax.random.uniform(jax.random.fold_in(key, 1), (4,))).all()
EOF
