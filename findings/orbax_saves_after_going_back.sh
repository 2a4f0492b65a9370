#!/usr/bin/env bash
# orbax: after a rollback, checkpoints are dropped until the old step number is passed.
#
# Expected: a run that is restored from step 5 of 10 and trains on saves its step 6, or the call raises because
# newer steps exist.
#
# What happens: `CheckpointManager.save(6, ...)` writes nothing and returns False, without an error or a warning,
# as long as there is a checkpoint with a higher step, whatever the interval. `force=True` writes it, and then
# `latest_step()` is 6 although 10 exists.
#
# Why it matters here: rolling back after a divergence is common in training algorithms. Unless the newer
# checkpoints are deleted, everything from there to step 10 is unprotected, and a killed run resumes from the
# state that was abandoned.
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
import warnings
from importlib.metadata import version

import jax.numpy as jnp
import orbax.checkpoint as ocp

print(*(f"{name} {version(name)}" for name in ["jax", "jaxlib", "numpy", "orbax-checkpoint"]), sep=", ")
logging.disable(logging.CRITICAL)
warnings.simplefilter("error")
save = lambda step, **options: manager.save(
    step, args=ocp.args.StandardSave({"w": jnp.full(1, step)}), **options
)
with ocp.CheckpointManager(pathlib.Path.cwd() / "steps") as manager:
    assert save(5)
    assert save(10)
    manager.wait_until_finished()
    saved = save(6)
    manager.wait_until_finished()
    print("save(6) after steps 5 and 10 returns", saved, "and there are", sorted(manager.all_steps()))
    assert saved is False, "an earlier step is saved now"
    assert sorted(manager.all_steps()) == [5, 10]
    assert save(6, force=True)
    manager.wait_until_finished()
    print(
        "with force=True there are",
        sorted(manager.all_steps()),
        "and the latest step is",
        manager.latest_step(),
    )
    assert sorted(manager.all_steps()) == [5, 6, 10]
EOF
