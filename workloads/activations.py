"""Activation functions, by the names that variants of workloads have for them."""

from collections.abc import Callable

import flax.linen as nn
import jax

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {"relu": nn.relu, "gelu": nn.gelu, "silu": nn.silu}
"""`gelu` is the approximation by a hyperbolic tangent (Hendrycks and Gimpel 2016, https://arxiv.org/abs/1606.08415)."""
