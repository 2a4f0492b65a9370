"""Multi-head attention, the twin of `workloads/layers/attention.py`, with the names of the reference's modules."""

import math
from collections.abc import Sequence

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from torch_compat.layers.uninitialized import uninitialized
from torch_compat.transfer.torch_model import Joined, Leaf


def attend(
    query: Float[Tensor, "batch queries features"],
    key: Float[Tensor, "batch keys features"],
    value: Float[Tensor, "batch keys features"],
    num_heads: int,
    mask: Bool[Tensor, "#batch #heads queries keys"] | None = None,
    temperature: float = 1.0,
    dropout_rate: float = 0.0,
) -> Float[Tensor, "batch queries features"]:
    """Softmax attention.

    Args:
      query: projected queries; the features are those of all heads, concatenated.
      key: projected keys, likewise.
      value: projected values, likewise.
      num_heads: number of heads.
      mask: True if the query may attend to the key. A query that may attend to none gets the mean of all values.
      temperature: divides the logits of the softmax.
      dropout_rate: dropout of the weights.
    """
    query, key, value = (tensor.unflatten(-1, (num_heads, -1)).transpose(1, 2) for tensor in (query, key, value))
    if mask is not None:
        # A query of 0 that may attend to every key gets the mean of all values and has no gradient, as in JAX. Masking
        # with the smallest number instead makes that row's gradients wrong.
        # See findings/torch_attention_masked_row.sh.
        has_key = mask.any(-1, keepdim=True)
        query, mask = query * has_key, mask | ~has_key
    scale = None if temperature == 1.0 else 1 / (temperature * math.sqrt(query.shape[-1]))
    attended = functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, dropout_p=dropout_rate, scale=scale
    )
    return attended.transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    """Attention of tokens to each other, without dropout of its weights: `query`, `key`, `value` and `out`.

    Args:
      width: number of features F.
      num_heads: number of heads.
      bias: whether the projections have a bias.
      temperature: divides the logits of the softmax.
    """

    def __init__(self, width: int, num_heads: int, *, bias: bool = True, temperature: float = 1.0) -> None:
        super().__init__()
        for name in ("query", "key", "value", "out"):
            self.add_module(name, uninitialized(nn.Linear, width, width, bias=bias))
        self.num_heads = num_heads
        self.temperature = temperature

    def forward(
        self,
        tokens: Float[Tensor, "batch tokens features"],
        mask: Bool[Tensor, "#batch #heads tokens tokens"] | None = None,
    ) -> Float[Tensor, "batch tokens features"]:
        query, key, value = (self.get_submodule(name)(tokens) for name in ("query", "key", "value"))
        return self.get_submodule("out")(attend(query, key, value, self.num_heads, mask, self.temperature))


class JoinedSelfAttention(nn.Module):
    """`SelfAttention` without biases and with one projection for queries, keys and values: `in_proj` and `out_proj`.

    In training mode its weights have dropout at the rate that it is called with.

    Args:
      width: number of features F.
      num_heads: number of heads.
      temperature: divides the logits of the softmax.
    """

    def __init__(self, width: int, num_heads: int, *, temperature: float = 1.0) -> None:
        super().__init__()
        self.in_proj = uninitialized(nn.Linear, width, 3 * width, bias=False)
        self.out_proj = uninitialized(nn.Linear, width, width, bias=False)
        self.num_heads = num_heads
        self.temperature = temperature

    def forward(
        self,
        tokens: Float[Tensor, "batch tokens features"],
        mask: Bool[Tensor, "#batch #heads tokens tokens"] | None = None,
        dropout_rate: float = 0.0,
    ) -> Float[Tensor, "batch tokens features"]:
        query, key, value = self.in_proj(tokens).chunk(3, dim=-1)
        rate = dropout_rate if self.training else 0.0
        return self.out_proj(attend(query, key, value, self.num_heads, mask, self.temperature, rate))


class CrossAttention(nn.Module):
    """Attention of queries to tokens: `q_proj`, `kv_proj` (keys, then values) and `out_proj`.

    In training mode its weights have dropout at the rate that it is called with.

    Args:
      width: number of features F.
      num_heads: number of heads.
      bias: whether the projections have a bias.
      temperature: divides the logits of the softmax.
    """

    def __init__(self, width: int, num_heads: int, *, bias: bool = True, temperature: float = 1.0) -> None:
        super().__init__()
        self.q_proj = uninitialized(nn.Linear, width, width, bias=bias)
        self.kv_proj = uninitialized(nn.Linear, width, 2 * width, bias=bias)
        self.out_proj = uninitialized(nn.Linear, width, width, bias=bias)
        self.num_heads = num_heads
        self.temperature = temperature

    def forward(
        self,
        queries: Float[Tensor, "batch queries features"],
        tokens: Float[Tensor, "batch tokens features"],
        mask: Bool[Tensor, "#batch #heads queries tokens"] | None = None,
        dropout_rate: float = 0.0,
    ) -> Float[Tensor, "batch queries features"]:
        key, value = self.kv_proj(tokens).chunk(2, dim=-1)
        rate = dropout_rate if self.training else 0.0
        return self.out_proj(attend(self.q_proj(queries), key, value, self.num_heads, mask, self.temperature, rate))


def self_attention_leaves(name: str, path: str, width: int, *, bias: bool = True) -> dict[str, Leaf | Joined]:
    """The tensors of a `SelfAttention` called `name`, whose values are those of flax's layer at `path`."""
    leaves: dict[str, Leaf | Joined] = {}
    for part in ("query", "key", "value", "out"):
        leaves |= projection_leaves(f"{name}.{part}", path, (part,), width, bias=bias)
    return leaves


def joined_self_attention_leaves(name: str, path: str, width: int) -> dict[str, Leaf | Joined]:
    """The tensors of a `JoinedSelfAttention` called `name`, held by flax's layer at `path`."""
    return {
        **projection_leaves(f"{name}.in_proj", path, ("query", "key", "value"), width, bias=False),
        **projection_leaves(f"{name}.out_proj", path, ("out",), width, bias=False),
    }


def cross_attention_leaves(name: str, path: str, width: int, *, bias: bool = True) -> dict[str, Leaf | Joined]:
    """The tensors of a `CrossAttention` called `name`, whose values are those of flax's layer at `path`."""
    return {
        **projection_leaves(f"{name}.q_proj", path, ("query",), width, bias=bias),
        **projection_leaves(f"{name}.kv_proj", path, ("key", "value"), width, bias=bias),
        **projection_leaves(f"{name}.out_proj", path, ("out",), width, bias=bias),
    }


def projection_leaves(
    name: str, path: str, parts: Sequence[str], width: int, *, bias: bool = True
) -> dict[str, Leaf | Joined]:
    """The tensors of a `Linear` called `name` that holds projections of flax's attention layer at `path`.

    Args:
      name: name of the `Linear`.
      path: path of flax's layer.
      parts: `query`, `key`, `value` or `out`; several are concatenated.
      width: F; in PyTorch the heads share one axis.
      bias: whether there is a bias.
    """
    weights = tuple(
        Leaf(f"{path}/{part}/kernel", (2, 0, 1) if part == "out" else (1, 2, 0), (width, width)) for part in parts
    )
    biases = tuple(Leaf(f"{path}/{part}/bias", shape=None if part == "out" else (width,)) for part in parts)
    joined = len(parts) > 1
    leaves: dict[str, Leaf | Joined] = {f"{name}.weight": Joined(weights) if joined else weights[0]}
    if bias:
        leaves[f"{name}.bias"] = Joined(biases) if joined else biases[0]
    return leaves
