"""Bidirectional recurrent layers over utterances of different lengths.

The backward direction of an utterance starts at its last frame, and outputs at padding are 0. Packed sequences do that,
and cuDNN is fast at them. On CPUs they take several times as long as padded ones, so there each direction runs by
itself, the backward one on reversed utterances.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import rnn

Frames = Float[Tensor, "batch frames features"]
Paddings = Float[Tensor, "batch frames"]
Outputs = Float[Tensor, "batch frames outputs"]


def bidirectional_lstm(layer: nn.LSTM, frames: Frames, paddings: Paddings) -> Outputs:
    """The outputs of both directions, one after the other.

    Args:
      layer: one bidirectional layer with biases, of which the batch is the first axis.
      frames: the inputs.
      paddings: 1 behind the end of an utterance, else 0.
    """
    return packed(layer, frames, paddings) if frames.is_cuda else by_direction(layer, frames, paddings)


def packed(layer: nn.LSTM, frames: Frames, paddings: Paddings) -> Outputs:
    """`bidirectional_lstm` by packed sequences."""
    # A row without frames has no place in a packed sequence; it gets one, of which nothing is read.
    lengths = (paddings == 0).sum(dim=1).clamp(min=1).cpu()
    sequences = rnn.pack_padded_sequence(frames, lengths, batch_first=True, enforce_sorted=False)
    outputs, _ = rnn.pad_packed_sequence(layer(sequences)[0], batch_first=True, total_length=frames.shape[1])
    return outputs


def by_direction(layer: nn.LSTM, frames: Frames, paddings: Paddings) -> Outputs:
    """`bidirectional_lstm` by two passes over padded sequences."""
    is_valid = paddings == 0
    places = torch.arange(frames.shape[1], device=frames.device)
    lengths = is_valid.sum(dim=1, keepdim=True)
    reversed_places = torch.where(is_valid, lengths - 1 - places, places)[..., None]
    weights = [getattr(layer, name) for name in layer._flat_weights_names]
    forward = _one_direction(layer, frames, weights[:4])
    backward = _one_direction(layer, frames.gather(1, reversed_places.expand_as(frames)), weights[4:])
    backward = backward.gather(1, reversed_places.expand_as(backward))
    return torch.cat([forward, backward], dim=2) * is_valid[..., None]


def _one_direction(layer: nn.LSTM, frames: Frames, weights: list[Tensor]) -> Outputs:
    """The outputs of a direction, given its two matrices and its two biases."""
    start = frames.new_zeros(1, len(frames), layer.hidden_size)
    # What `nn.LSTM` itself calls: input, state, weights, has biases, number of layers, dropout, and so on.
    outputs, _, _ = torch.lstm(frames, (start, start), weights, True, 1, 0.0, layer.training, False, True)
    return outputs
