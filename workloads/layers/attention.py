"""Multi-head attention (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762), based on flax's layer.

Decoders that produce one token at a time use `TwoStepAttention`, which computes the same in two steps.
"""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def multi_head_attention(
    num_heads: int,
    *,
    name: str,
    use_bias: bool = True,
    temperature: float = 1.0,
    scale_query: Callable[[Array], Array] | None = None,
    output_scale: float = 1.0,
) -> nn.MultiHeadDotProductAttention:
    """Makes a layer `(queries, keys=queries, values=keys, *, mask=None) -> outputs` without dropout of its weights.

    Queries are [B, M, F], keys and values [B, N, F], outputs [B, M, F]. A mask is boolean, [B or 1, heads or 1, M, N]:
    True if the query may attend to the key. A query that may attend to none gets the mean of all values. Kernels are
    drawn as Xavier uniform F x F matrices, regardless of the number of heads; biases start at 0. Parameters are called
    `query`, `key` and `value` ([F, heads, F / heads]) and `out` ([heads, F / heads, F]).

    Args:
      num_heads: number of heads, a divisor of F.
      name: name of the layer.
      use_bias: whether the four projections have a bias.
      temperature: divides the logits of the softmax: `softmax(query . key / (temperature * sqrt(F / heads)))`.
      scale_query: applied to the projected queries [B, M, heads, F / heads]; may be a module.
      output_scale: multiplies the weighted sums of values before they are projected.
    """

    # flax passes only those of its arguments that have a name here.
    def attend(
        query: Float[Array, "batch queries heads features"],
        key: Float[Array, "batch keys heads features"],
        value: Float[Array, "batch keys heads features"],
        mask: Bool[Array, "#batch #heads queries keys"] | None = None,
    ) -> Float[Array, "batch queries heads features"]:
        query = query if scale_query is None else scale_query(query)
        attended = nn.dot_product_attention(query / temperature, key, value, mask=mask)
        return attended * output_scale

    is_plain = temperature == 1.0 and scale_query is None and output_scale == 1.0
    return nn.MultiHeadDotProductAttention(
        num_heads,
        use_bias=use_bias,
        kernel_init=nn.initializers.xavier_uniform(),
        attention_fn=nn.dot_product_attention if is_plain else attend,
        name=name,
    )


class TwoStepAttention(nn.Module):
    """The layer of `multi_head_attention` without biases, in two steps: keys and values can be computed once and kept.

    `layer(queries, tokens, mask)` is `layer.attend(queries, *layer.keys_and_values(tokens), mask)`, and the same
    function as the layer of flax, with the same parameters.

    Attributes:
      width: F.
      num_heads: number of heads, a divisor of F.
      temperature: divides the logits of the softmax.
    """

    width: int
    num_heads: int
    temperature: float = 1.0

    def setup(self) -> None:
        head = (self.num_heads, self.width // self.num_heads)
        kernel_init = nn.initializers.xavier_uniform()
        self.query = nn.DenseGeneral(head, use_bias=False, kernel_init=kernel_init)
        self.key = nn.DenseGeneral(head, use_bias=False, kernel_init=kernel_init)
        self.value = nn.DenseGeneral(head, use_bias=False, kernel_init=kernel_init)
        self.out = nn.DenseGeneral(self.width, axis=(-2, -1), use_bias=False, kernel_init=kernel_init)

    def __call__(
        self,
        queries: Float[Array, "batch queries features"],
        tokens: Float[Array, "batch keys features"],
        mask: Bool[Array, "#batch #heads queries keys"] | None = None,
        drop: Callable[[Array], Array] | None = None,
    ) -> Float[Array, "batch queries features"]:
        """Attention of queries to tokens; the mask is that of `multi_head_attention`."""
        return self.attend(queries, *self.keys_and_values(tokens), mask, drop)

    def keys_and_values(
        self, tokens: Float[Array, "batch keys features"]
    ) -> tuple[Float[Array, "batch heads keys head"], Float[Array, "batch heads keys head"]]:
        """Keys and values of tokens, in the layout in which a product of matrices reads them."""
        return jnp.swapaxes(self.key(tokens), 1, 2), jnp.swapaxes(self.value(tokens), 1, 2)

    def attend(
        self,
        queries: Float[Array, "batch queries features"],
        keys: Float[Array, "batch heads keys head"],
        values: Float[Array, "batch heads keys head"],
        mask: Bool[Array, "#batch #heads #queries keys"] | None,
        drop: Callable[[Array], Array] | None = None,
    ) -> Float[Array, "batch queries features"]:
        """Attention of queries to what `keys_and_values` returned; `drop` is the dropout of its weights."""
        query = self.query(queries / self.temperature)
        scores = jnp.einsum("bmhd,bhnd->bhmn", query / math.sqrt(query.shape[-1]), keys)
        if mask is not None:
            scores = jnp.where(mask, scores, jnp.finfo(scores.dtype).min)
        weights = jax.nn.softmax(scores)
        weights = weights if drop is None else drop(weights)
        return self.out(jnp.einsum("bhmn,bhnd->bmhd", weights, values))


def causal_attention(
    query: Float[Array, "batch tokens heads features"],
    key: Float[Array, "batch tokens heads features"],
    value: Float[Array, "batch tokens heads features"],
) -> Float[Array, "batch tokens heads features"]:
    """Softmax attention of tokens to themselves and to those before them; the scores are not scaled.

    In half precision, GPUs use the fused kernel of cuDNN, which exists for no other type. Its softmax is float32.
    """
    if query.dtype in (jnp.bfloat16, jnp.float16) and jax.default_backend() == "gpu":
        return jax.nn.dot_product_attention(query, key, value, scale=1.0, is_causal=True, implementation="cudnn")
    query, key, value = (jnp.swapaxes(heads, 1, 2) for heads in (query, key, value))
    scores = jnp.einsum("bhmd,bhnd->bhmn", query, key)
    scores = scores.astype(jnp.promote_types(scores.dtype, jnp.float32))
    positions = jnp.arange(scores.shape[-1])
    scores = jnp.where(positions[:, None] >= positions, scores, jnp.finfo(scores.dtype).min)
    # There are fewer outputs to divide than weights.
    weights = jnp.exp(scores - jax.lax.stop_gradient(scores.max(-1, keepdims=True)))
    attended = jnp.einsum("bhmn,bhnd->bhmd", weights.astype(value.dtype), value)
    return jnp.swapaxes((attended / weights.sum(-1, keepdims=True)).astype(value.dtype), 1, 2)
