"""Activation functions, by the names that the variants of workloads use."""

from collections.abc import Callable

import flax.linen as nn
import jax

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": nn.relu,
    "gelu": nn.gelu,
    "silu": nn.silu,
    "tanh": nn.tanh,
}
"""`gelu` is the tanh approximation (Hendrycks and Gimpel 2016, https://arxiv.org/abs/1606.08415)."""
