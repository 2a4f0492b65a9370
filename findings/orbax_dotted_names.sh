#!/usr/bin/env bash
# orbax: two arrays whose names meet in a dot become one, without an error.
#
# Expected: a tree with the keys `{"layer.weight": a, "layer": {"weight": b}}` comes back as it was, or is refused
# when it is saved.
#
# What happens: it is saved without an error, and both leaves come back with the values of one of them, not the
# same one in each run: files are named by the keys joined by dots. Only other shapes make it fail.
#
# Why it matters here: names with dots are those of PyTorch's state dicts and of flattened trees of flax. A tree
# that holds both forms loses an array, and the checkpoint is found out after a resume at the earliest.
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
tree = {"layer.weight": jnp.full(2, 1.0), "layer": {"weight": jnp.full(2, 2.0)}}
path = pathlib.Path.cwd() / "saved"
with ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(path, tree)
    checkpointer.wait_until_finished()
    for restored in (checkpointer.restore(path), checkpointer.restore(path, tree)):
        dotted, nested = restored["layer.weight"], restored["layer"]["weight"]
        print("saved", [1.0, 1.0], [2.0, 2.0], "restored", dotted.tolist(), nested.tolist())
        assert dotted.tolist() == nested.tolist(), "both arrays survive now"
EOF
