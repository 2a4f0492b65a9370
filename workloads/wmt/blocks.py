"""The blocks of the transformer for translation: attention and multilayer perceptrons with residual connections."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from workloads.activations import ACTIVATIONS
from workloads.dropout import Dropout, Rate
from workloads.layers.attention import TwoStepAttention
from workloads.wmt.architecture import Architecture

NORM_EPSILON = 1e-6

Tokens = Float[Array, "batch tokens features"]
SourceMask = Bool[Array, "batch 1 tokens source"]
KeysAndValues = tuple[Float[Array, "batch heads tokens head"], Float[Array, "batch heads tokens head"]]
"""Of one layer."""


class MlpBlock(nn.Module):
    """A multilayer perceptron with one hidden layer."""

    architecture: Architecture
    deterministic: bool

    @nn.compact
    def __call__(self, tokens: Tokens, dropout_rate: Rate) -> Tokens:
        dense = functools.partial(
            nn.Dense, kernel_init=nn.initializers.xavier_uniform(), bias_init=nn.initializers.normal(1e-6)
        )
        hidden_width = self.architecture.size.mlp_width
        hidden = ACTIVATIONS[self.architecture.activation](dense(hidden_width)(tokens))
        if self.architecture.use_glu:
            hidden = hidden * dense(hidden_width)(tokens)
        hidden = Dropout(self.deterministic)(hidden, dropout_rate)
        return Dropout(self.deterministic)(dense(tokens.shape[-1])(hidden), dropout_rate)


class Block(nn.Module):
    """What the blocks of encoder and decoder share: layers, each with a residual connection and a normalization."""

    architecture: Architecture
    deterministic: bool

    def norm(self, index: int) -> nn.LayerNorm:
        return nn.LayerNorm(epsilon=NORM_EPSILON, name=f"LayerNorm_{index}")

    def attention(self, index: int) -> TwoStepAttention:
        size, temperature = self.architecture.size, self.architecture.attention_temperature
        name = f"MultiHeadDotProductAttention_{index}"
        return TwoStepAttention(size.width, size.num_heads, 1 / temperature, name=name)

    def mlp(self) -> MlpBlock:
        return MlpBlock(self.architecture, self.deterministic, name="MlpBlock_0")

    def entering(self, norm: nn.LayerNorm, tokens: Tokens) -> Tokens:
        """What a layer gets."""
        return tokens if self.architecture.use_post_layer_norm else norm(tokens)

    def leaving(self, norm: nn.LayerNorm, tokens: Tokens, branch: Tokens) -> Tokens:
        """Tokens with what the layer made of them."""
        return norm(tokens + branch) if self.architecture.use_post_layer_norm else tokens + branch


class EncoderBlock(Block):
    """Self-attention and a multilayer perceptron."""

    @nn.compact
    def __call__(self, tokens: Tokens, mask: Bool[Array, "batch 1 tokens tokens"], dropout_rate: Rate) -> Tokens:
        norms = self.norm(0), self.norm(1)
        entering = self.entering(norms[0], tokens)
        drops = [functools.partial(Dropout(self.deterministic), rate=dropout_rate) for _ in range(2)]
        attended = self.attention(0)(entering, entering, mask, drops[0])
        tokens = self.leaving(norms[0], tokens, drops[1](attended))
        hidden = self.mlp()(self.entering(norms[1], tokens), dropout_rate)
        return self.leaving(norms[1], tokens, hidden)


class DecoderBlock(Block):
    """Self-attention, attention to the encoded source and a multilayer perceptron."""

    def setup(self) -> None:
        self.norms = [self.norm(index) for index in range(3)]
        self.to_targets, self.to_source = self.attention(0), self.attention(1)
        self.perceptron = self.mlp()
        self.dropouts = [Dropout(self.deterministic) for _ in range(4)]

    def __call__(
        self,
        tokens: Tokens,
        encoded: Float[Array, "batch source features"],
        mask: Bool[Array, "batch 1 tokens tokens"],
        source_mask: SourceMask,
        dropout_rate: Rate,
    ) -> Tokens:
        own, other, _ = self.norms
        drops = [functools.partial(dropout, rate=dropout_rate) for dropout in self.dropouts]
        entering = self.entering(own, tokens)
        attended = self.to_targets(entering, entering, mask, drops[0])
        tokens = self.leaving(own, tokens, drops[1](attended))
        attended = self.to_source(self.entering(other, tokens), encoded, source_mask, drops[2])
        tokens = self.leaving(other, tokens, drops[3](attended))
        return self._perceive(tokens, dropout_rate)

    def step(
        self,
        tokens: Float[Array, "batch 1 features"],
        kept: KeysAndValues,
        source: KeysAndValues,
        is_source: Bool[Array, "sources source"],
        position: Any,
    ) -> tuple[Float[Array, "batch 1 features"], KeysAndValues]:
        """One token of each row, without dropout.

        Args:
          tokens: the tokens. There may be several rows for a source, next to each other.
          kept: keys and values of the tokens before.
          source: those of the encoded sources.
          is_source: which places of the sources hold tokens.
          position: position of the tokens, from 0 on.

        Returns:
          What comes out, and the kept keys and values with those of the tokens.
        """
        own, other, _ = self.norms
        entering = self.entering(own, tokens)
        new_keys, new_values = self.to_targets.keys_and_values(entering)
        keys, values = kept
        keys = jax.lax.dynamic_update_slice_in_dim(keys, new_keys, position, axis=2)
        values = jax.lax.dynamic_update_slice_in_dim(values, new_values, position, axis=2)
        is_past = (jnp.arange(keys.shape[2]) <= position)[None, None, None]
        tokens = self.leaving(own, tokens, self.to_targets.attend(entering, keys, values, is_past))
        # The rows of one source are that many queries for it.
        queries = self.entering(other, tokens).reshape(len(is_source), -1, tokens.shape[-1])
        attended = self.to_source.attend(queries, *source, is_source[:, None, None])
        tokens = self.leaving(other, tokens, attended.reshape(tokens.shape))
        return self._perceive(tokens, 0.0), (keys, values)

    def _perceive(self, tokens: Tokens, dropout_rate: Rate) -> Tokens:
        last = self.norms[2]
        return self.leaving(last, tokens, self.perceptron(self.entering(last, tokens), dropout_rate))
