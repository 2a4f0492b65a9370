#!/usr/bin/env bash
# torch: mask a whole row of attention with the smallest number, and its gradients are too large.
#
# Expected: a mask that adds `torch.finfo(dtype).min` instead of minus infinity makes a row without any key the
# mean of all values, with the gradients of a mean.
#
# What happens: the row is the mean, yet on CPUs the gradient of each of K values is 1 instead of 1/K: the fused
# kernel keeps only the logarithm of the sum of the exponentials, -3.4e38 + log(K), which rounds to -3.4e38. The
# math backend has the right gradients; `jax.nn.dot_product_attention` with a boolean mask has, too.
#
# Why it matters here: padding masks whole rows, and models that are ported from JAX use this mask to get the same
# outputs. Comparing the outputs of both frameworks finds nothing; the gradients are wrong by the length of the
# sequence.
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
import numpy as np
import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

print(*(f"{name} {version(name)}" for name in ["torch", "numpy", "jax", "jaxlib"]), sep=", ")
KEYS = 5
rng = np.random.default_rng(0)
arrays = [rng.standard_normal((1, 1, length, 8)) for length in (1, KEYS, KEYS)]


def in_torch(dtype):
    """What a row without any key is, and the gradient of its sum with respect to one feature of the values."""
    query, key, value = (torch.tensor(array, dtype=dtype, requires_grad=True) for array in arrays)
    mask = torch.full((1, 1, 1, KEYS), torch.finfo(dtype).min, dtype=dtype)
    row = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    row.sum().backward()
    is_mean = torch.allclose(row, value.mean(dim=2, keepdim=True), atol=1e-2)
    return is_mean, np.round(value.grad[0, 0, :, 0].float().numpy(), 3).tolist()


for dtype in (torch.float32, torch.float64, torch.bfloat16):
    found = in_torch(dtype)
    print(dtype, "the row is the mean:", found[0], "gradients:", found[1])
    assert found == (True, [1.0] * KEYS), "the gradients are right now"
with sdpa_kernel(SDPBackend.MATH):
    found = in_torch(torch.float32)
print("math backend, the row is the mean:", found[0], "gradients:", found[1])
np.testing.assert_allclose(found[1], 1 / KEYS)


def in_jax(value):
    query, key = (jnp.asarray(array, jnp.float32).swapaxes(1, 2) for array in arrays[:2])
    return jax.nn.dot_product_attention(query, key, value, mask=jnp.zeros((1, 1, 1, KEYS), bool)).sum()


gradients = jax.grad(in_jax)(jnp.asarray(arrays[2], jnp.float32).swapaxes(1, 2))[0, :, 0, 0]
print("jax, gradients:", np.round(gradients, 3).tolist())
np.testing.assert_allclose(gradients, 1 / KEYS, rtol=1e-5)
EOF
