#!/usr/bin/env bash
# orbax: a checkpoint whose metric is NaN counts as the best, and the best are deleted for it.
#
# Expected: with `best_fn`, `best_mode="max"` and `max_to_keep=1`, the checkpoint with the highest accuracy stays;
# one with NaN is the worst, or raises.
#
# What happens: the checkpoints are sorted by the metric, where NaN compares with nothing, so that the result
# depends on the order in which they come: after 0.5, 0.9, NaN the NaN is kept and is `best_step()`; after 0.9,
# NaN, 0.5 the 0.5 is kept. The best is gone in both.
#
# Why it matters here: one diverged evaluation, which benchmark runs with too high a learning rate have often,
# loses the checkpoint that the result would be read from.
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


def kept(*accuracies):
    """The metric of the checkpoint that is left, and of the one that is called the best."""
    options = ocp.CheckpointManagerOptions(
        max_to_keep=1, best_fn=lambda metrics: metrics["accuracy"], best_mode="max"
    )
    directory = pathlib.Path.cwd() / "-".join(map(str, accuracies))
    with ocp.CheckpointManager(directory, options=options) as manager:
        for step, accuracy in enumerate(accuracies):
            manager.save(step, args=ocp.args.StandardSave({"w": jnp.ones(1)}), metrics={"accuracy": accuracy})
        manager.wait_until_finished()
        result = [accuracies[step] for step in manager.all_steps()], accuracies[manager.best_step()]
    print("accuracies", accuracies, "kept", result[0], "best", result[1])
    return result


nan = float("nan")
assert kept(0.5, 0.9, 0.7) == ([0.9], 0.9)
assert str(kept(0.5, 0.9, nan)) == "([nan], nan)", "a NaN is not the best now"
assert kept(0.9, nan, 0.5) == ([0.5], 0.5)
EOF
