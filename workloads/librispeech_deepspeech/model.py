"""A recurrent network for speech recognition, after Deep Speech 2 (Amodei et al. 2015, https://arxiv.org/abs/1512.02595).

Convolutions shorten time to a quarter, then come bidirectional recurrent layers and feed-forward layers. Variants: tanh
for ReLU, no residual connections, and layer normalization for batch normalization with more masks in SpecAugment.
"""

import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from workloads.activations import ACTIVATIONS
from workloads.dropout import Dropout, Rate
from workloads.librispeech_deepspeech.architecture import Architecture
from workloads.librispeech_deepspeech.lstm import NUM_DIRECTIONS, Weights, bidirectional_lstm
from workloads.speech.features import log_mel
from workloads.speech.layers import BatchNorm, Frames, LayerNorm, Paddings, Subsample
from workloads.speech.repeated import repeat

GATES = ("i", "f", "g", "o")

dense = functools.partial(nn.Dense, kernel_init=nn.initializers.xavier_uniform())


class LSTM(nn.Module):
    """A bidirectional recurrent layer, as wide as its input.

    Each direction has `ii`, `if`, `ig` and `io`, the kernels [F, H] of the inputs of its four gates, and `hi`, `hf`,
    `hg` and `ho`, the kernels [H, H] of the hidden state, with a bias.
    """

    @nn.compact
    def __call__(self, frames: Frames, paddings: Paddings) -> Frames:
        width = frames.shape[-1]
        of_directions = self.param("LSTM", initial_directions, width, width // NUM_DIRECTIONS)
        return bidirectional_lstm(frames, paddings, joined_weights(of_directions))


def initial_directions(key: Array, num_inputs: int, num_hidden: int) -> dict[str, Any]:
    """Parameters of both directions, under the names that they have in the reference; all kernels are drawn at once."""
    gates = NUM_DIRECTIONS * len(GATES)
    input_key, hidden_key = jax.random.split(key)
    draw_input, draw_hidden = nn.initializers.lecun_normal(), nn.initializers.orthogonal()
    inputs = jax.vmap(lambda key: draw_input(key, (num_inputs, num_hidden)))(jax.random.split(input_key, gates))
    hidden = jax.vmap(lambda key: draw_hidden(key, (num_hidden, num_hidden)))(jax.random.split(hidden_key, gates))
    found = {}
    for direction in range(NUM_DIRECTIONS):
        cell = {}
        for index, gate in enumerate(GATES, start=direction * len(GATES)):
            cell[f"i{gate}"] = {"kernel": inputs[index]}
            cell[f"h{gate}"] = {"kernel": hidden[index], "bias": jnp.zeros(num_hidden, hidden.dtype)}
        found[f"LSTMSequenceEncoder_{direction}"] = {"cell": cell}
    return found


def joined_weights(of_directions: Mapping[str, Any]) -> Weights:
    """The weights of all gates in one array, for one product."""
    cells = [of_directions[f"LSTMSequenceEncoder_{direction}"]["cell"] for direction in range(NUM_DIRECTIONS)]

    def joined(letter: str, kind: str) -> Array:
        of_cells = [jnp.concatenate([cell[f"{letter}{gate}"][kind] for gate in GATES], axis=-1) for cell in cells]
        return jnp.stack(of_cells)

    return Weights(joined("i", "kernel"), joined("h", "kernel"), joined("h", "bias"))


class Layer(nn.Module):
    """What recurrent and feed-forward layers share."""

    architecture: Architecture
    deterministic: bool
    use_running_average: bool

    def normalized(self, frames: Frames, paddings: Paddings) -> Frames:
        if self.architecture.normalization == "layer":
            return LayerNorm(name="LayerNorm_0")(frames)
        momentum = self.architecture.size.batch_norm_momentum
        return BatchNorm(self.use_running_average, momentum, name="BatchNorm_0")(frames, paddings)

    def added(self, frames: Frames, outputs: Frames) -> Frames:
        return frames + outputs if self.architecture.use_residual else outputs


class BatchRNN(Layer):
    """A normalization and a bidirectional recurrent layer."""

    @nn.compact
    def __call__(self, frames: Frames, paddings: Paddings) -> Frames:
        return self.added(frames, LSTM()(self.normalized(frames, paddings), paddings))


class FeedForwardModule(Layer):
    """A normalization and a dense layer."""

    @nn.compact
    def __call__(self, frames: Frames, paddings: Paddings, dropout_rate: Rate) -> Frames:
        hidden = dense(frames.shape[-1])(self.normalized(frames, paddings))
        hidden = ACTIVATIONS[self.architecture.activation](hidden) * (1 - paddings)[..., None]
        return self.added(frames, Dropout(self.deterministic)(hidden, dropout_rate))


class DeepSpeech(nn.Module):
    """The network.

    Attributes:
      architecture: size and variant.
      deterministic: whether to leave out SpecAugment and dropout.
      use_running_average: whether to normalize with the running statistics instead of those of the batch.
    """

    architecture: Architecture
    deterministic: bool
    use_running_average: bool = False

    @nn.compact
    def __call__(
        self, inputs: tuple[Shaped[Array, "batch samples"], Int[Array, " batch"]], dropout_rate: Rate
    ) -> tuple[Float[Array, "batch frames vocabulary"], Paddings]:
        """Logits of the tokens, 0 for the blank, and paddings of their frames.

        Args:
          inputs: samples of 16 bits, and how many of them belong to the utterance.
          dropout_rate: rate of dropout: of the first frames, and after each feed-forward layer.
        """
        architecture, size = self.architecture, self.architecture.size
        features, paddings = log_mel(*inputs)
        if not self.deterministic:
            features = architecture.spec_augment(features, paddings, self.make_rng("dropout"))
        subsample = Subsample(size.width, size.conv_channels, architecture.activation, False, self.deterministic)
        frames, paddings = subsample(features, paddings, dropout_rate)
        arguments = architecture, self.deterministic, self.use_running_average
        recurrent = BatchRNN(*arguments, parent=None)
        frames = repeat(self, recurrent, size.num_recurrent_layers, frames, paddings)
        for _ in range(size.num_feed_forward_layers):
            frames = FeedForwardModule(*arguments)(frames, paddings, dropout_rate)
        frames = LayerNorm()(frames) if architecture.normalization == "batch" else frames
        return dense(size.vocab_size)(frames), paddings
