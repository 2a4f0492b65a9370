#!/usr/bin/env bash
# At their kinks, leaky_relu, abs, clip and hard_tanh have other gradients in JAX than in torch.
#
# Expected: as both frameworks give relu the gradient 0 at 0, they agree for its relatives too.
#
# What happens: at 0, leaky_relu has the gradient 1 in JAX and the slope, 0.01, in torch; abs 1 and 0. At the
# borders, clip has 0.5 and 1, hard_tanh 1 and 0. relu, relu6, elu and maximum agree.
#
# Why it matters here: exact zeros are no accident: padding, black image borders and a normalization without bias
# make them by the thousand. The gradients of one model in two frameworks then differ by much more than rounding,
# with equal losses.
#
# Seen with: torch==2.13.0, numpy==2.4.6, jax==0.10.2, jaxlib==0.10.2; CPython 3.11, x86-64 Linux, CPU;
# 2026-11-28.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0
venv/bin/pip install --quiet numpy==2.4.6 jax==0.10.2 jaxlib==0.10.2
JAX_PLATFORMS=cpu venv/bin/python - <<'EOF'
from importlib.metadata import version

import jax
import jax.numpy as jnp
import torch
from torch.nn import functional

print(*(f"{name} {version(name)}" for name in ["torch", "numpy", "jax", "jaxlib"]), sep=", ")
zero = torch.tensor(0.0)
pairs = {
    "relu at 0": (0, jax.nn.relu, functional.relu),
    "relu6 at 6": (6, jax.nn.relu6, functional.relu6),
    "elu at 0": (0, jax.nn.elu, functional.elu),
    "maximum(x, 0) at 0": (0, lambda x: jnp.maximum(x, 0.0), lambda x: torch.maximum(x, zero)),
    "leaky_relu at 0": (0, jax.nn.leaky_relu, functional.leaky_relu),
    "abs at 0": (0, jnp.abs, torch.abs),
    "clip(x, 0, 1) at 0": (0, lambda x: jnp.clip(x, 0.0, 1.0), lambda x: torch.clip(x, 0.0, 1.0)),
    "hard_tanh at 1": (1, jax.nn.hard_tanh, functional.hardtanh),
}


def torch_gradient(function, at):
    x = torch.tensor(float(at), requires_grad=True)
    function(x).backward()
    return round(x.grad.item(), 6)


found = {
    name: (round(float(jax.grad(in_jax)(float(at))), 6), torch_gradient(in_torch, at))
    for name, (at, in_jax, in_torch) in pairs.items()
}
for name, gradients in found.items():
    print(f"{name}: JAX {gradients[0]}, torch {gradients[1]}")
assert found == {
    "relu at 0": (0, 0),
    "relu6 at 6": (0, 0),
    "elu at 0": (1, 1),
    "maximum(x, 0) at 0": (0.5, 0.5),
    "leaky_relu at 0": (1, 0.01),
    "abs at 0": (1, 0),
    "clip(x, 0, 1) at 0": (0.5, 1),
    "hard_tanh at 1": (1, 0),
}, found
EOF
