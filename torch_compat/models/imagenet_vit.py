"""The vision transformer, the twin of `workloads/imagenet_vit/model.py`."""

import functools
from collections.abc import Callable
from typing import Any, Self

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn
from torch.nn import functional

from algoperf_jax.workload import Batch, Workload
from torch_compat.layers.attention import (
    CrossAttention,
    SelfAttention,
    cross_attention_leaves,
    self_attention_leaves,
)
from torch_compat.layers.uninitialized import uninitialized
from torch_compat.transfer.leaves import linear_leaves, normalization_leaves
from torch_compat.transfer.torch_model import CONVOLUTION, Joined, Leaf, TorchModel, channels_first
from workloads.imagenet_vit.model import CHANNELS, MLP_EXPANSION, NORM_EPSILON, Size, position_embedding

_Leaves = dict[str, Leaf | Joined]


class ViT(nn.Module):
    """The network, on images [B, 3, H, W].

    Args:
      size: size of the model.
      use_glu: use gated linear units.
      use_post_layer_norm: normalize after each layer of a block, not before.
      use_map: pool by attention.
    """

    def __init__(self, size: Size, use_glu: bool, use_post_layer_norm: bool, use_map: bool) -> None:
        super().__init__()
        self.pre_logits = uninitialized(nn.Linear, size.width, size.width)
        self.conv_patch_extract = uninitialized(nn.Conv2d, CHANNELS, size.width, size.patch_size, size.patch_size)
        self.encoder = Encoder(size, use_glu, use_post_layer_norm)
        self.head = uninitialized(nn.Linear, size.width, size.num_classes)
        self.map = MAPHead(size) if use_map else None
        self._size = size
        self._positions = self._embed_positions()

    def forward(self, batch: Batch, *, dropout_rate: float) -> Float[Tensor, "batch classes"]:
        """Returns logits.

        Args:
          batch: `inputs` are images.
          dropout_rate: dropout rate in training mode, everywhere except in the attention and the pooling.
        """
        tokens = self.conv_patch_extract(batch["inputs"]).flatten(2).transpose(1, 2)
        tokens = functional.dropout(tokens + self._positions.to(tokens.dtype), dropout_rate, self.training)
        tokens = self.encoder(tokens, dropout_rate)
        pooled = tokens.mean(dim=1) if self.map is None else self.map(tokens)
        return self.head(torch.tanh(self.pre_logits(pooled)))

    def _embed_positions(self) -> Float64[Tensor, "tokens features"]:
        """Position embeddings, as in the JAX model before rounding to the precision of the tokens."""
        side = self._size.image_size // self._size.patch_size
        return torch.from_numpy(position_embedding(side, side, self._size.width))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # Moves the positions along with the parameters. They are not a buffer, because the reference has none.
        super()._apply(fn, recurse)
        self._positions = fn(self._embed_positions())
        return self


class Encoder(nn.Module):
    """The blocks, followed by a layer normalization unless each block ends with one."""

    def __init__(self, size: Size, use_glu: bool, use_post_layer_norm: bool) -> None:
        super().__init__()
        self.net = nn.ModuleList(Encoder1DBlock(size, use_glu, use_post_layer_norm) for _ in range(size.depth))
        self.encoder_norm = None if use_post_layer_norm else _layer_norm(size)

    def forward(
        self, tokens: Float[Tensor, "batch tokens features"], dropout_rate: float
    ) -> Float[Tensor, "batch tokens features"]:
        for block in self.net:
            tokens = block(tokens, dropout_rate)
        return tokens if self.encoder_norm is None else self.encoder_norm(tokens)


class Encoder1DBlock(nn.Module):
    """Self-attention and a multilayer perceptron, each with a residual connection."""

    def __init__(self, size: Size, use_glu: bool, use_post_layer_norm: bool) -> None:
        super().__init__()
        self.layer_norm0 = _layer_norm(size)
        self.self_attention1 = SelfAttention(size.width, size.num_heads)
        self.layer_norm2 = _layer_norm(size)
        self.mlp3 = MlpBlock(size, use_glu)
        self.use_post_layer_norm = use_post_layer_norm

    def forward(
        self, tokens: Float[Tensor, "batch tokens features"], dropout_rate: float
    ) -> Float[Tensor, "batch tokens features"]:
        drop = functools.partial(functional.dropout, p=dropout_rate, training=self.training)
        if self.use_post_layer_norm:
            tokens = self.layer_norm0(tokens + drop(self.self_attention1(tokens)))
            return self.layer_norm2(tokens + drop(self.mlp3(tokens, dropout_rate)))
        tokens = tokens + drop(self.self_attention1(self.layer_norm0(tokens)))
        return tokens + drop(self.mlp3(self.layer_norm2(tokens), dropout_rate))


class MlpBlock(nn.Module):
    """A multilayer perceptron with one hidden layer; `use_glu` multiplies that by a dense layer of itself."""

    def __init__(self, size: Size, use_glu: bool) -> None:
        super().__init__()
        hidden = MLP_EXPANSION * size.width
        self.linear1 = uninitialized(nn.Linear, size.width, hidden)
        self.glu_linear = uninitialized(nn.Linear, hidden, hidden) if use_glu else None
        self.linear2 = uninitialized(nn.Linear, hidden, size.width)

    def forward(
        self, tokens: Float[Tensor, "*batch features"], dropout_rate: float
    ) -> Float[Tensor, "*batch features"]:
        hidden = functional.gelu(self.linear1(tokens), approximate="tanh")
        if self.glu_linear is not None:
            hidden = hidden * self.glu_linear(hidden)
        return self.linear2(functional.dropout(hidden, dropout_rate, self.training))


class MAPHead(nn.Module):
    """Pools tokens: a learned token attends to them, then a multilayer perceptron. It has no dropout."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.probe = nn.Parameter(torch.empty(1, 1, size.width))
        self.mha = CrossAttention(size.width, size.num_heads)
        self.layer_norm = _layer_norm(size)
        self.mlp = MlpBlock(size, use_glu=False)

    def forward(self, tokens: Float[Tensor, "batch tokens features"]) -> Float[Tensor, "batch features"]:
        pooled = self.mha(self.probe.expand(len(tokens), -1, -1), tokens)
        return (pooled + self.mlp(self.layer_norm(pooled), 0.0))[:, 0]


def _layer_norm(size: Size) -> nn.LayerNorm:
    return nn.LayerNorm(size.width, eps=NORM_EPSILON)


def build(workload: Workload) -> TorchModel:
    """Builds the twin of the workload or of a variant, which gets the initial values of the JAX model."""
    arguments: dict[str, Any] = dict(workload.model_arguments)
    size: Size = arguments["size"]
    leaves: _Leaves = {
        **linear_leaves("pre_logits", "pre_logits"),
        "conv_patch_extract.weight": Leaf("conv_patch_extract/kernel", CONVOLUTION),
        "conv_patch_extract.bias": Leaf("conv_patch_extract/bias"),
    }
    for index in range(size.depth):
        leaves |= _block_leaves(index, size.width, use_glu=arguments["use_glu"])
    if not arguments["use_post_layer_norm"]:
        leaves |= normalization_leaves("encoder.encoder_norm", "Transformer/encoder_layernorm")
    leaves |= linear_leaves("head", "head")
    if arguments["use_map"]:
        leaves |= _pooling_leaves(size.width)
    return TorchModel(
        make_module=functools.partial(ViT, **arguments),
        parameters=leaves,
        buffers={},
        arrange=channels_first,
        loss=workload.loss,
    )


def _block_leaves(index: int, width: int, *, use_glu: bool) -> _Leaves:
    name, path = f"encoder.net.{index}", f"Transformer/encoderblock_{index}"
    leaves: _Leaves = {**normalization_leaves(f"{name}.layer_norm0", f"{path}/LayerNorm_0")}
    leaves |= self_attention_leaves(f"{name}.self_attention1", f"{path}/MultiHeadDotProductAttention_1", width)
    leaves |= normalization_leaves(f"{name}.layer_norm2", f"{path}/LayerNorm_2")
    return leaves | _mlp_leaves(f"{name}.mlp3", f"{path}/MlpBlock_3", use_glu=use_glu)


def _pooling_leaves(width: int) -> _Leaves:
    leaves: _Leaves = {"map.probe": Leaf("MAPHead_0/probe")}
    leaves |= cross_attention_leaves("map.mha", "MAPHead_0/MultiHeadDotProductAttention_0", width)
    leaves |= normalization_leaves("map.layer_norm", "MAPHead_0/LayerNorm_0")
    return leaves | _mlp_leaves("map.mlp", "MAPHead_0/MlpBlock_0", use_glu=False)


def _mlp_leaves(name: str, path: str, *, use_glu: bool) -> _Leaves:
    layers = ("linear1", "glu_linear", "linear2") if use_glu else ("linear1", "linear2")
    leaves: _Leaves = {}
    for index, layer in enumerate(layers):
        leaves |= linear_leaves(f"{name}.{layer}", f"{path}/Dense_{index}")
    return leaves
