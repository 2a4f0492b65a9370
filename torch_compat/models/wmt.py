"""The transformer for translation, the twin of `workloads/wmt/model.py`."""

import functools
import math
from collections.abc import Callable
from typing import Any, Self

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn
from torch.nn import functional

from algoperf_jax.workload import Batch, Loss, Workload
from torch_compat.layers.activations import ACTIVATIONS
from torch_compat.layers.attention import (
    CrossAttention,
    JoinedSelfAttention,
    cross_attention_leaves,
    joined_self_attention_leaves,
)
from torch_compat.layers.uninitialized import uninitialized
from torch_compat.transfer.leaves import linear_leaves, normalization_leaves
from torch_compat.transfer.torch_model import Joined, Leaf, TorchModel
from workloads.layers.positions import position_embedding
from workloads.wmt.architecture import Architecture
from workloads.wmt.blocks import NORM_EPSILON

Tokens = Float[Tensor, "batch tokens features"]
TokenMask = Bool[Tensor, "batch 1 tokens tokens"]
SourceMask = Bool[Tensor, "batch 1 tokens source"]
Source = Float[Tensor, "batch source features"]

_Leaves = dict[str, Leaf | Joined]


class Transformer(nn.Module):
    """The network; it returns logits of each target, made of the source and of the targets before it."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        size = architecture.size
        self.pos_encoder = PositionalEncoding(size.max_length, size.width)
        self.shared_embedding = uninitialized(nn.Embedding, size.vocab_size, size.width)
        self.encoder = Encoder(architecture, self.shared_embedding)
        self.decoder = Decoder(architecture, self.shared_embedding)

    def forward(self, batch: Batch, *, dropout_rate: float) -> Float[Tensor, "batch tokens vocabulary"]:
        """Logits.

        Args:
          batch: `inputs` and `targets`, and positions and segments of both if the rows are packed.
          dropout_rate: in training mode, where the JAX model has dropout.
        """
        of_inputs, of_targets = _segments(batch, "inputs"), _segments(batch, "targets")
        drop = functools.partial(functional.dropout, p=dropout_rate, training=self.training)
        sources = self.pos_encoder(self.shared_embedding(batch["inputs"]), batch.get("inputs_position"))
        encoded = self.encoder(drop(sources), _attention_mask(of_inputs, of_inputs), dropout_rate)
        shifted = functional.pad(batch["targets"], (1, 0))[:, :-1]
        tokens = self.pos_encoder(self.shared_embedding(shifted), batch.get("targets_position"))
        mask = _attention_mask(of_targets, of_targets).tril()
        hidden = self.decoder(drop(tokens), encoded, mask, _attention_mask(of_targets, of_inputs), dropout_rate)
        # There are fewer hidden features to divide than logits.
        return functional.linear(hidden / math.sqrt(hidden.shape[-1]), self.shared_embedding.weight)


def _segments(batch: Batch, name: str) -> Int[Tensor, "batch tokens"]:
    """The number of the sequence that each token is in, from 1 on, and 0 for padding."""
    is_token = batch[name] > 0
    segmentation = batch.get(f"{name}_segmentation")
    return is_token.long() if segmentation is None else segmentation * is_token


def _attention_mask(
    of_queries: Int[Tensor, "batch queries"], of_keys: Int[Tensor, "batch keys"]
) -> Bool[Tensor, "batch 1 queries keys"]:
    """Whether a query may attend to a key: both are in one segment, and neither is padding."""
    queries, keys = of_queries[:, None, :, None], of_keys[:, None, None, :]
    return (queries == keys) & (queries > 0)


class PositionalEncoding(nn.Module):
    """Adds the embedding of positions to tokens."""

    pe: Tensor

    def __init__(self, max_length: int, width: int) -> None:
        super().__init__()
        self._shape = (max_length, width)
        self.register_buffer("pe", self._table().float())

    def forward(self, tokens: Tokens, position: Int[Tensor, "batch tokens"] | None) -> Tokens:
        """Tokens with their positions; None counts these from 0 in each row."""
        table = self.pe[0]
        return tokens + (table[: tokens.shape[1]] if position is None else table[position])

    def _table(self) -> Float[Tensor, "1 positions features"]:
        return torch.from_numpy(position_embedding(*self._shape))[None]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # A wider type gets digits that the narrower one does not have.
        super()._apply(fn, recurse)
        self.pe.copy_(self._table())
        return self


class Encoder(nn.Module):
    """`TransformerEncoder` under the name that the reference has for it, with the embedding that it shares."""

    def __init__(self, architecture: Architecture, shared_embedding: nn.Embedding) -> None:
        super().__init__()
        self.shared_embedding = shared_embedding
        self.encoder = TransformerEncoder(architecture)

    def forward(self, tokens: Tokens, mask: TokenMask, dropout_rate: float) -> Tokens:
        return self.encoder(tokens, mask, dropout_rate)


class Decoder(nn.Module):
    """The same for `TransformerDecoder`."""

    def __init__(self, architecture: Architecture, shared_embedding: nn.Embedding) -> None:
        super().__init__()
        self.shared_embedding = shared_embedding
        self.decoder = TransformerDecoder(architecture)

    def forward(
        self, tokens: Tokens, encoded: Source, mask: TokenMask, source_mask: SourceMask, dropout_rate: float
    ) -> Tokens:
        return self.decoder(tokens, encoded, mask, source_mask, dropout_rate)


class TransformerEncoder(nn.Module):
    """The layers, followed by a layer normalization unless each layer ends with one."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(architecture) for _ in range(architecture.size.depth))
        self.norm = None if architecture.use_post_layer_norm else _layer_norm(architecture)

    def forward(self, tokens: Tokens, mask: TokenMask, dropout_rate: float) -> Tokens:
        for layer in self.layers:
            tokens = layer(tokens, mask, dropout_rate)
        return tokens if self.norm is None else self.norm(tokens)


class TransformerDecoder(nn.Module):
    """The same for the decoder."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(architecture) for _ in range(architecture.size.depth))
        self.norm = None if architecture.use_post_layer_norm else _layer_norm(architecture)

    def forward(
        self, tokens: Tokens, encoded: Source, mask: TokenMask, source_mask: SourceMask, dropout_rate: float
    ) -> Tokens:
        for layer in self.layers:
            tokens = layer(tokens, encoded, mask, source_mask, dropout_rate)
        return tokens if self.norm is None else self.norm(tokens)


class _Layer(nn.Module):
    """What layers of encoder and decoder share: branches with a residual connection, a multilayer perceptron."""

    linear1: nn.Linear
    linear_glu: nn.Linear | None
    linear2: nn.Linear

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self._activation = ACTIVATIONS[architecture.activation]
        self._use_post_layer_norm = architecture.use_post_layer_norm

    def _add_perceptron(self, architecture: Architecture) -> None:
        size = architecture.size
        self.linear1 = uninitialized(nn.Linear, size.width, size.mlp_width)
        self.linear_glu = uninitialized(nn.Linear, size.width, size.mlp_width) if architecture.use_glu else None
        self.linear2 = uninitialized(nn.Linear, size.mlp_width, size.width)

    def _add(self, norm: nn.Module, tokens: Tokens, branch: Callable[[Tensor], Tensor]) -> Tokens:
        """Tokens plus what a branch makes of them, normalized before the branch or at the end."""
        if self._use_post_layer_norm:
            return norm(tokens + branch(tokens))
        return tokens + branch(norm(tokens))

    def _perceptron(self, tokens: Tokens, drop: Callable[[Tensor], Tensor]) -> Tokens:
        hidden = self._activation(self.linear1(tokens))
        if self.linear_glu is not None:
            hidden = hidden * self.linear_glu(tokens)
        return drop(self.linear2(drop(hidden)))


class EncoderLayer(_Layer):
    """Self-attention and a multilayer perceptron."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        self.self_attn = JoinedSelfAttention(**_attention(architecture))
        self._add_perceptron(architecture)
        self.norm1 = _layer_norm(architecture)
        self.norm2 = _layer_norm(architecture)

    def forward(self, tokens: Tokens, mask: TokenMask, dropout_rate: float) -> Tokens:
        drop = functools.partial(functional.dropout, p=dropout_rate, training=self.training)
        tokens = self._add(self.norm1, tokens, lambda x: drop(self.self_attn(x, mask, dropout_rate)))
        return self._add(self.norm2, tokens, lambda x: self._perceptron(x, drop))


class DecoderLayer(_Layer):
    """Self-attention, attention to the encoded source and a multilayer perceptron."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        self.self_attn = JoinedSelfAttention(**_attention(architecture))
        self.multihead_attn = CrossAttention(**_attention(architecture), bias=False)
        self._add_perceptron(architecture)
        self.norm1 = _layer_norm(architecture)
        self.norm2 = _layer_norm(architecture)
        self.norm3 = _layer_norm(architecture)

    def forward(
        self, tokens: Tokens, encoded: Source, mask: TokenMask, source_mask: SourceMask, dropout_rate: float
    ) -> Tokens:
        drop = functools.partial(functional.dropout, p=dropout_rate, training=self.training)
        tokens = self._add(self.norm1, tokens, lambda x: drop(self.self_attn(x, mask, dropout_rate)))
        tokens = self._add(
            self.norm2, tokens, lambda x: drop(self.multihead_attn(x, encoded, source_mask, dropout_rate))
        )
        return self._add(self.norm3, tokens, lambda x: self._perceptron(x, drop))


def _attention(architecture: Architecture) -> dict[str, Any]:
    size = architecture.size
    temperature = 1 / architecture.attention_temperature
    return {"width": size.width, "num_heads": size.num_heads, "temperature": temperature}


def _layer_norm(architecture: Architecture) -> nn.LayerNorm:
    return nn.LayerNorm(architecture.size.width, eps=NORM_EPSILON)


def loss(
    targets: Int[Tensor, "*leading"],
    logits: Float[Tensor, "*leading vocabulary"],
    weights: Shaped[Tensor, "*leading"] | None = None,
    label_smoothing: Any = 0.0,
) -> Loss:
    """`workloads.wmt.loss.loss` with the cross entropy of PyTorch."""
    leading, vocabulary = logits.shape[:-1], logits.shape[-1]
    per_token = functional.cross_entropy(
        logits.reshape(-1, vocabulary), targets.reshape(-1), reduction="none", label_smoothing=float(label_smoothing)
    ).reshape(leading)
    if weights is None:
        return Loss(per_token.sum(), per_token.new_tensor(per_token.numel()), per_token)
    per_token = torch.where(weights != 0, per_token, torch.zeros_like(per_token))
    return Loss(per_token.sum(), weights.to(per_token.dtype).sum(), per_token)


def build(workload: Workload) -> TorchModel:
    """The twin of the workload or of a variant; initial values are the JAX model's."""
    architecture: Architecture = workload.model_arguments["architecture"]
    leaves: _Leaves = {"shared_embedding.weight": Leaf("shared_embedding/embedding")}
    for index in range(architecture.size.depth):
        leaves |= _encoder_leaves(architecture, index)
    if not architecture.use_post_layer_norm:
        leaves |= normalization_leaves("encoder.encoder.norm", "encoder/encoder_layernorm")
    for index in range(architecture.size.depth):
        leaves |= _decoder_leaves(architecture, index)
    if not architecture.use_post_layer_norm:
        leaves |= normalization_leaves("decoder.decoder.norm", "decoder/encoderdecoder_layernorm")
    return TorchModel(
        make_module=functools.partial(Transformer, architecture),
        parameters=leaves,
        buffers={},
        arrange=lambda inputs: inputs,
        loss=loss,
    )


def _encoder_leaves(architecture: Architecture, index: int) -> _Leaves:
    name, path = f"encoder.encoder.layers.{index}", f"encoder/encoderblock_{index}"
    attention = f"{path}/MultiHeadDotProductAttention_0"
    leaves: _Leaves = {**joined_self_attention_leaves(f"{name}.self_attn", attention, architecture.size.width)}
    leaves |= _perceptron_leaves(architecture, name, path)
    for number in range(2):
        leaves |= normalization_leaves(f"{name}.norm{number + 1}", f"{path}/LayerNorm_{number}")
    return leaves


def _decoder_leaves(architecture: Architecture, index: int) -> _Leaves:
    name, path = f"decoder.decoder.layers.{index}", f"decoder/encoderdecoderblock_{index}"
    attention, width = f"{path}/MultiHeadDotProductAttention", architecture.size.width
    leaves: _Leaves = {**joined_self_attention_leaves(f"{name}.self_attn", f"{attention}_0", width)}
    leaves |= cross_attention_leaves(f"{name}.multihead_attn", f"{attention}_1", width, bias=False)
    leaves |= _perceptron_leaves(architecture, name, path)
    for number in range(3):
        leaves |= normalization_leaves(f"{name}.norm{number + 1}", f"{path}/LayerNorm_{number}")
    return leaves


def _perceptron_leaves(architecture: Architecture, name: str, path: str) -> _Leaves:
    layers = ("linear1", "linear_glu", "linear2") if architecture.use_glu else ("linear1", "linear2")
    leaves: _Leaves = {}
    for index, layer in enumerate(layers):
        leaves |= linear_leaves(f"{name}.{layer}", f"{path}/MlpBlock_0/Dense_{index}")
    return leaves
