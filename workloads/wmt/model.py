"""An encoder-decoder transformer (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762) for translation.

One embedding serves source, target and, transposed, the output. Layer normalization comes before each layer (Xiong et
al. 2020, https://arxiv.org/abs/2002.04745). Variants: layer normalization after each layer, a gated linear unit in the
multilayer perceptrons (Shazeer 2020, https://arxiv.org/abs/2002.05202), another activation function, and another
temperature of the attention. Token 0 is padding. Decoding one token at a time is in `incremental.py`.
"""

import math
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from workloads.dropout import Dropout, Rate
from workloads.layers.positions import position_embedding
from workloads.wmt.architecture import Architecture
from workloads.wmt.blocks import NORM_EPSILON, DecoderBlock, EncoderBlock, KeysAndValues, SourceMask, Tokens

PACKED = ("inputs_position", "inputs_segmentation", "targets_position", "targets_segmentation")
"""What batches of packed rows have beside `inputs` and `targets`."""


def segments(batch: Mapping[str, Any], name: str) -> Int[Array, "batch tokens"]:
    """The number of the sequence that each token is in, from 1 on, and 0 for padding.

    In rows that are not packed, all tokens are in sequence 1.
    """
    is_token = jnp.asarray(batch[name]) > 0
    return jnp.where(is_token, batch.get(f"{name}_segmentation", 1), 0)


def attention_mask(
    of_queries: Int[Array, "batch queries"], of_keys: Int[Array, "batch keys"], *, causal: bool = False
) -> Bool[Array, "batch 1 queries keys"]:
    """Whether a query may attend to a key: both are in one segment, and neither is padding.

    Args:
      of_queries: segments of the queries.
      of_keys: segments of the keys.
      causal: whether keys after the query are left out.
    """
    queries, keys = of_queries[:, None, :, None], of_keys[:, None, None, :]
    mask = (queries == keys) & (queries > 0)
    return jnp.tril(mask) if causal else mask


def shifted_right(targets: Int[Array, "batch tokens"]) -> Int[Array, "batch tokens"]:
    """What the decoder reads: each token's predecessor in its row, 0 at the beginning.

    In a packed row, the first token of a segment is preceded by the last one of the segment before.
    """
    return jnp.pad(targets, ((0, 0), (1, 0)))[:, :-1]


class Encoder(nn.Module):
    """The blocks, followed by a layer normalization unless each block ends with one."""

    architecture: Architecture
    deterministic: bool

    @nn.compact
    def __call__(self, tokens: Tokens, mask: Bool[Array, "batch 1 tokens tokens"], dropout_rate: Rate) -> Tokens:
        tokens = Dropout(self.deterministic)(tokens, dropout_rate)
        for index in range(self.architecture.size.depth):
            block = EncoderBlock(self.architecture, self.deterministic, name=f"encoderblock_{index}")
            tokens = block(tokens, mask, dropout_rate)
        if self.architecture.use_post_layer_norm:
            return tokens
        return nn.LayerNorm(epsilon=NORM_EPSILON, name="encoder_layernorm")(tokens)


class Decoder(nn.Module):
    """The same for the decoder."""

    architecture: Architecture
    deterministic: bool

    def setup(self) -> None:
        self.blocks = [
            DecoderBlock(self.architecture, self.deterministic, name=f"encoderdecoderblock_{index}")
            for index in range(self.architecture.size.depth)
        ]
        self.dropout = Dropout(self.deterministic)
        if not self.architecture.use_post_layer_norm:
            self.last_norm = nn.LayerNorm(epsilon=NORM_EPSILON, name="encoderdecoder_layernorm")

    def __call__(
        self,
        tokens: Tokens,
        encoded: Float[Array, "batch source features"],
        mask: Bool[Array, "batch 1 tokens tokens"],
        source_mask: SourceMask,
        dropout_rate: Rate,
    ) -> Tokens:
        tokens = self.dropout(tokens, dropout_rate)
        for block in self.blocks:
            tokens = block(tokens, encoded, mask, source_mask, dropout_rate)
        return self._normalized(tokens)

    def source_keys_and_values(self, encoded: Tokens) -> tuple[KeysAndValues, ...]:
        """Keys and values of the encoded sources, for each block."""
        return tuple(block.to_source.keys_and_values(encoded) for block in self.blocks)

    def step(
        self,
        tokens: Float[Array, "batch 1 features"],
        kept: tuple[KeysAndValues, ...],
        source: tuple[KeysAndValues, ...],
        is_source: Bool[Array, "sources source"],
        position: Any,
    ) -> tuple[Float[Array, "batch 1 features"], tuple[KeysAndValues, ...]]:
        """`DecoderBlock.step` of all blocks."""
        updated = []
        for block, of_targets, of_source in zip(self.blocks, kept, source, strict=True):
            tokens, of_targets = block.step(tokens, of_targets, of_source, is_source, position)
            updated.append(of_targets)
        return self._normalized(tokens), tuple(updated)

    def _normalized(self, tokens: Tokens) -> Tokens:
        return tokens if self.architecture.use_post_layer_norm else self.last_norm(tokens)


class Transformer(nn.Module):
    """The network; it returns logits of each target, made of the source and of the targets before it."""

    architecture: Architecture
    deterministic: bool

    def setup(self) -> None:
        size = self.architecture.size
        self.shared_embedding = nn.Embed(size.vocab_size, size.width, embedding_init=nn.initializers.normal(1.0))
        self.encoder = Encoder(self.architecture, self.deterministic)
        self.decoder = Decoder(self.architecture, self.deterministic)

    def __call__(self, batch: Mapping[str, Any], dropout_rate: Rate) -> Float[Array, "batch tokens vocabulary"]:
        """Logits.

        Args:
          batch: `inputs` and `targets`; the `PACKED` arrays if there are several sentences in a row.
          dropout_rate: rate of dropout: of the embedded tokens, in and after each perceptron, and of the weights and
            the outputs of each attention.
        """
        of_inputs, of_targets = segments(batch, "inputs"), segments(batch, "targets")
        encoded = self._encoded(batch["inputs"], of_inputs, batch.get("inputs_position"), dropout_rate)
        hidden = self.decoder(
            self._embedded(shifted_right(jnp.asarray(batch["targets"])), batch.get("targets_position")),
            encoded,
            attention_mask(of_targets, of_targets, causal=True),
            attention_mask(of_targets, of_inputs),
            dropout_rate,
        )
        return self._logits(hidden)

    def encode(self, inputs: Int[Array, "batch tokens"]) -> Tokens:
        """Encodes sources, one to a row, without dropout."""
        return self._encoded(inputs, segments({"inputs": inputs}, "inputs"), None, 0.0)

    def source_keys_and_values(self, encoded: Tokens) -> tuple[KeysAndValues, ...]:
        """Keys and values of encoded sources for each block of the decoder, the same in all steps."""
        return self.decoder.source_keys_and_values(encoded)

    def step(
        self,
        tokens: Int[Array, " batch"],
        kept: tuple[KeysAndValues, ...],
        source: tuple[KeysAndValues, ...],
        is_source: Bool[Array, "sources source"],
        position: Any,
    ) -> tuple[Float[Array, "batch vocabulary"], tuple[KeysAndValues, ...]]:
        """Logits of what follows the tokens at a position; see `DecoderBlock.step`."""
        embedded = self._embedded(tokens[:, None], jnp.reshape(position, (1, 1)))
        hidden, updated = self.decoder.step(embedded, kept, source, is_source, position)
        return self._logits(hidden)[:, 0], updated

    def _encoded(self, inputs: Any, of_inputs: Int[Array, "batch tokens"], position: Any, dropout_rate: Rate) -> Tokens:
        return self.encoder(self._embedded(inputs, position), attention_mask(of_inputs, of_inputs), dropout_rate)

    def _embedded(self, tokens: Any, position: Any) -> Tokens:
        size = self.architecture.size
        embedded = self.shared_embedding(jnp.asarray(tokens))
        positions = jnp.asarray(position_embedding(size.max_length, size.width), embedded.dtype)
        return embedded + (positions[: embedded.shape[1]] if position is None else positions[position])

    def _logits(self, hidden: Tokens) -> Float[Array, "batch tokens vocabulary"]:
        # There are fewer hidden features to divide than logits.
        return self.shared_embedding.attend(hidden / math.sqrt(self.architecture.size.width))
