#!/usr/bin/env bash
# CTC of a label that does not fit into its frames: infinite in torch, about 100000 in optax, with a gradient.
#
# Expected: no path of 3 frames spells 4 labels: the probability is 0, the loss infinite, as in torch, and
# training code filters it.
#
# What happens: `optax.ctc_loss` returns 100000.65, since it takes -100000 for log(0), and a gradient of ordinary
# size that looks valid and trains the model towards nothing. torch returns infinity, and with
# `zero_infinity=True` 0 and no gradient.
#
# Why it matters here: utterances that are cut or subsampled too far are in every speech data set. In JAX one of
# them raises the mean loss of a batch by thousands, passes each check for finite numbers, and pulls at the
# parameters.
#
# Seen with: torch==2.13.0, jax==0.10.2, jaxlib==0.10.2, numpy==2.4.6, optax==0.2.8; CPython 3.11, x86-64 Linux,
# CPU; 2026-11-28.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0
venv/bin/pip install --quiet jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 optax==0.2.8
JAX_PLATFORMS=cpu venv/bin/python - <<'EOF'
from importlib.metadata import version

import jax
import jax.numpy as jnp
import optax
import torch

print(*(f"{name} {version(name)}" for name in ["torch", "jax", "jaxlib", "numpy", "optax"]), sep=", ")
FRAMES, CLASSES = 3, 4
logits, labels = jnp.zeros((1, FRAMES, CLASSES)), jnp.array([[1, 1, 2, 3]])


def in_optax(logits):
    return optax.ctc_loss(logits, jnp.zeros((1, FRAMES)), labels, jnp.zeros((1, labels.shape[1]))).sum()


def in_torch(zero_infinity):
    inputs = torch.zeros(FRAMES, 1, CLASSES, requires_grad=True)
    loss = torch.nn.functional.ctc_loss(
        inputs.log_softmax(-1),
        torch.tensor([[1, 1, 2, 3]]),
        torch.tensor([FRAMES]),
        torch.tensor([4]),
        reduction="sum",
        zero_infinity=zero_infinity,
    )
    loss.backward()
    return loss.item(), inputs.grad.abs().max().item()


loss, gradient = jax.value_and_grad(in_optax)(logits)
print("optax: loss", loss, "largest gradient", jnp.abs(gradient).max())
print("torch: loss", in_torch(False)[0])
print("torch, zero_infinity: loss and largest gradient", in_torch(True))
assert 1e5 <= loss < 1.1e5, "optax's loss is another now"
assert 0.1 < jnp.abs(gradient).max() < 1
assert in_torch(False)[0] == float("inf")
assert in_torch(True) == (0, 0)
EOF
