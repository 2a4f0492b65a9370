"""Multi-head attention (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762), based on flax's layer."""

from collections.abc import Callable

import flax.linen as nn
import jax


def multi_head_attention(
    num_heads: int,
    *,
    name: str,
    use_bias: bool = True,
    temperature: float = 1.0,
    scale_query: Callable[[jax.Array], jax.Array] | None = None,
    output_scale: float = 1.0,
) -> nn.MultiHeadDotProductAttention:
    """A layer `(queries, keys=queries, values=keys, *, mask=None) -> outputs`, without dropout of its weights.

    Queries are [B, M, F], keys and values [B, N, F], outputs [B, M, F]. A mask is boolean, [B or 1, heads or 1, M, N]:
    True where the query may look at the key. A query that may look at none gets the mean of all values. Kernels are
    drawn as Xavier uniform, F x F matrices whatever the number of heads; biases begin at 0. Parameters are called
    `query`, `key` and `value` ([F, heads, F / heads]) and `out` ([heads, F / heads, F]).

    Args:
      num_heads: number of heads, a divisor of F.
      name: of the layer.
      use_bias: whether the four projections have a bias.
      temperature: divides what goes into the softmax: `softmax(query . key / (temperature * sqrt(F / heads)))`.
      scale_query: applied to the projected queries [B, M, heads, F / heads]; may be a module.
      output_scale: multiplies the weighted sums of values, before they are projected.
    """

    # flax hands over those of its arguments that have a name here.
    def attend(query: jax.Array, key: jax.Array, value: jax.Array, mask: jax.Array | None = None) -> jax.Array:
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
