#!/usr/bin/env bash
# orbax: None in the target or in the checkpoint silently replaces an array.
#
# Expected: a target tree that differs from the checkpoint is refused: so are a missing leaf, a leaf too many and
# another shape.
#
# What happens: None is a leaf that fits anything. An array that was saved comes back as None where the target has
# None, and None comes back where the target has an array, both without an error.
#
# Why it matters here: optimizer states hold None for parts that are switched off, such as a moment. A run that is
# resumed with another setting gets None for an array, or loses an array that it saved, and fails far away, or
# trains on without it.
#
# Seen with: jax==0.10.2, jaxlib==0.10.2, numpy==2.4.6, orbax-checkpoint==0.12.8; CPython 3.11, x86-64 Linux, CPU;
# 2026-11-28.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 orbax-checkpoint==0.12.8
JAX_PLATFORMS=cpu venv/bin/python - <<'EOF'
import logging
import pathlib
from importlib.metadata import version

import jax.numpy as jnp
import orbax.checkpoint as ocp

print(*(f"{name} {version(name)}" for name in ["jax", "jaxlib", "numpy", "orbax-checkpoint"]), sep=", ")
logging.disable(logging.CRITICAL)
array = jnp.ones(2)


def restored(saved, target):
    path = pathlib.Path.cwd() / f"saved_{len(list(pathlib.Path.cwd().iterdir()))}"
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, saved)
        checkpointer.wait_until_finished()
        return checkpointer.restore(path, target)


lost = restored({"count": array, "moment": array}, {"count": array, "moment": None})
print("saved an array, target None:", lost["moment"])
missing = restored({"count": array, "moment": None}, {"count": array, "moment": array})
print("saved None, target an array:", missing["moment"])
assert lost["moment"] is None, "a target of None is refused now"
assert missing["moment"] is None, "a saved None is refused now"
try:
    restored({"count": array, "moment": array}, {"count": array})
except ValueError as error:
    print("target without the leaf:", str(error).splitlines()[0])
else:
    raise AssertionError("a missing leaf is accepted now")
EOF
