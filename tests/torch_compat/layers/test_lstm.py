"""Bidirectional recurrent layers: the ways to compute them agree, and padding changes nothing."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from torch_compat.layers import lstm

LENGTHS = (7, 5, 1, 4)


def layer() -> nn.LSTM:
    torch.manual_seed(0)
    return nn.LSTM(6, 3, batch_first=True, bidirectional=True).double()


def batch(num_frames: int = max(LENGTHS)) -> tuple[Tensor, Tensor]:
    """Frames and paddings; what is at padding is large."""
    generator = torch.Generator().manual_seed(1)
    frames = torch.randn(len(LENGTHS), max(LENGTHS), 6, generator=generator, dtype=torch.float64)
    frames = nn.functional.pad(frames, (0, 0, 0, num_frames - max(LENGTHS)))
    paddings = torch.arange(num_frames) >= torch.tensor(LENGTHS)[:, None]
    return torch.where(paddings[..., None], 100.0, frames), paddings.float()


def computed(function: Callable[..., Tensor], num_frames: int = max(LENGTHS)) -> list[Tensor]:
    """Outputs, and gradients of the frames and the weights."""
    module, (frames, paddings) = layer(), batch(num_frames)
    frames.requires_grad_()
    outputs = function(module, frames, paddings)
    (outputs * torch.linspace(0.5, 2.0, outputs.shape[2])).square().sum().backward()
    gradients = [frames.grad, *(parameter.grad for parameter in module.parameters())]
    return [outputs.detach(), *(gradient for gradient in gradients if gradient is not None)]


def test_both_ways_compute_the_same() -> None:
    expected = computed(lstm.packed)
    assert len(expected) == 2 + 8
    for one, other in zip(computed(lstm.by_direction), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("function", [lstm.packed, lstm.by_direction])
def test_more_padding_changes_nothing(function: Callable[..., Tensor]) -> None:
    (short, *gradients), (long, *other) = computed(function), computed(function, num_frames=9)
    torch.testing.assert_close(long[:, : max(LENGTHS)], short)
    assert not long[:, max(LENGTHS) :].any()
    for one, another in zip(gradients[1:], other[1:], strict=True):
        torch.testing.assert_close(one, another)


def test_each_utterance_gives_what_it_gives_alone() -> None:
    module, (frames, paddings) = layer(), batch()
    outputs = lstm.bidirectional_lstm(module, frames, paddings)
    for row, length in enumerate(LENGTHS):
        alone, _ = module(frames[row : row + 1, :length])
        torch.testing.assert_close(outputs[row, :length], alone[0])
        assert not outputs[row, length:].any()


def test_a_row_without_frames_is_all_padding() -> None:
    module, (frames, paddings) = layer(), batch()
    paddings[1] = 1
    outputs = lstm.by_direction(module, frames, paddings)
    assert not outputs[1].any()
    torch.testing.assert_close(outputs[[0, 2, 3]], lstm.packed(module, frames, paddings)[[0, 2, 3]])
