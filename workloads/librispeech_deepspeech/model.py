"""A recurrent network for speech recognition, after Deep Speech 2 (Amodei et al. 2015, https://arxiv.org/abs/1512.02595).

Convolutions shorten time to a quarter, then come bidirectional recurrent layers and feed-forward layers. Variants: tanh
for ReLU, no residual connections, and layer normalization for batch normalization with more masks in SpecAugment.
"""

import functools

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from workloads.activations import ACTIVATIONS
from workloads.dropout import Dropout, Rate
from workloads.librispeech_deepspeech.architecture import Architecture
from workloads.librispeech_deepspeech.lstm import NUM_DIRECTIONS, Weights, bidirectional_lstm
from workloads.speech.features import log_mel
from workloads.speech.layers import BatchNorm, Frames, LayerNorm, Paddings, Subsample

GATES = ("i", "f", "g", "o")

dense = functools.partial(nn.Dense, kernel_init=nn.initializers.xavier_uniform())


class Gate(nn.Module):
    """The weights of one gate: of the inputs, or of the hidden state with a bias."""

    shape: tuple[int, int]
    is_hidden: bool

    @nn.compact
    def __call__(self) -> tuple[Array, ...]:
        init = nn.initializers.orthogonal() if self.is_hidden else nn.initializers.lecun_normal()
        kernel = self.param("kernel", init, self.shape)
        return (kernel, self.param("bias", nn.initializers.zeros, self.shape[1:])) if self.is_hidden else (kernel,)


class Cell(nn.Module):
    """The weights of one direction, with the gates one after the other: [F, 4 H], [H, 4 H] and the bias [4 H]."""

    num_inputs: int
    num_hidden: int

    @nn.compact
    def __call__(self) -> tuple[Array, Array, Array]:
        of_inputs = [Gate((self.num_inputs, self.num_hidden), False, name=f"i{gate}")() for gate in GATES]
        of_hidden = [Gate((self.num_hidden, self.num_hidden), True, name=f"h{gate}")() for gate in GATES]
        parts = [kernel for (kernel,) in of_inputs], *zip(*of_hidden, strict=True)
        inputs, hidden, bias = (jnp.concatenate(part, axis=-1) for part in parts)
        return inputs, hidden, bias


class SequenceEncoder(nn.Module):
    """The weights of one direction, where the reference has them."""

    num_inputs: int
    num_hidden: int

    @nn.compact
    def __call__(self) -> tuple[Array, Array, Array]:
        return Cell(self.num_inputs, self.num_hidden, name="cell")()


class Directions(nn.Module):
    """The weights of both directions, where the reference has them."""

    num_inputs: int
    num_hidden: int

    @nn.compact
    def __call__(self) -> Weights:
        arguments = self.num_inputs, self.num_hidden
        encoders = [SequenceEncoder(*arguments, name=f"LSTMSequenceEncoder_{d}")() for d in range(NUM_DIRECTIONS)]
        return Weights(*(jnp.stack(part) for part in zip(*encoders, strict=True)))


class LSTM(nn.Module):
    """A bidirectional recurrent layer, as wide as its input."""

    @nn.compact
    def __call__(self, frames: Frames, paddings: Paddings) -> Frames:
        width = frames.shape[-1]
        weights = Directions(width, width // NUM_DIRECTIONS, name="LSTM")()
        return bidirectional_lstm(frames, paddings, weights)


class Layer(nn.Module):
    """What recurrent and feed-forward layers share."""

    architecture: Architecture
    deterministic: bool
    use_running_average: bool

    def normalized(self, frames: Frames, paddings: Paddings) -> Frames:
        if self.architecture.normalization == "layer":
            return LayerNorm(name="LayerNorm_0")(frames)
        return BatchNorm(self.use_running_average, name="BatchNorm_0")(frames, paddings)

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
        for _ in range(size.num_recurrent_layers):
            frames = BatchRNN(*arguments)(frames, paddings)
        for _ in range(size.num_feed_forward_layers):
            frames = FeedForwardModule(*arguments)(frames, paddings, dropout_rate)
        frames = LayerNorm()(frames) if architecture.normalization == "batch" else frames
        return dense(size.vocab_size)(frames), paddings
