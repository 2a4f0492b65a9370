"""Batch normalization: flax's rules for the running statistics, and one batch shared by two ranks.

That of frames of speech is compared with JAX in `tests/torch_compat/test_twins.py`.
"""

import datetime
import multiprocessing
import pathlib
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, distributed

from torch_compat.layers import frames
from torch_compat.layers.batch_norm import BatchNorm2d

CHANNELS, RANKS = 3, 2
DECAY, EPSILON = 0.9, 1e-5


def images(offset: float = 0.0) -> Tensor:
    """[8, 3, 5, 4], float32; the mean of a channel is different in the first and the second half of the batch."""
    values = np.random.default_rng(0).standard_normal((8, CHANNELS, 5, 4), np.float32)
    values[:4] += np.asarray([1, -2, 0.5], np.float32)[:, None, None]
    return torch.from_numpy(values + np.float32(offset))


def layer() -> BatchNorm2d:
    return filled(BatchNorm2d(CHANNELS))


def filled(norm: Any) -> Any:
    """The layer with weights, biases and running statistics that are not the initial ones."""
    with torch.no_grad():
        for tensor, start in ((norm.weight, 0.5), (norm.bias, -1.0), (norm.running_mean, 2.0), (norm.running_var, 3.0)):
            tensor.copy_(torch.arange(CHANNELS) + start)
    return norm


def normalized(values: np.ndarray, norm: BatchNorm2d, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    weight, bias, mean, variance = (
        np.asarray(row, np.float64).reshape(-1, 1, 1)
        for row in (norm.weight.detach(), norm.bias.detach(), mean, variance)
    )
    return (values - mean) / np.sqrt(variance + EPSILON) * weight + bias


def batch_statistics(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and biased variance of each channel."""
    return values.mean(axis=(0, 2, 3)), values.var(axis=(0, 2, 3))


def close(actual: Tensor, expected: np.ndarray) -> None:
    # A few roundings of float32, relative to values of order one.
    np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=1e-5, atol=1e-5)


def test_training_uses_the_batch_and_moves_the_running_statistics() -> None:
    norm, values = layer(), images().double().numpy()
    mean, variance = batch_statistics(values)
    close(norm(images()), normalized(values, norm, mean, variance))
    close(norm.running_mean, DECAY * np.asarray([2, 3, 4]) + (1 - DECAY) * mean)
    # The unbiased variance, which PyTorch keeps, is larger by 1/160: more than the tolerance.
    close(norm.running_var, DECAY * np.asarray([3, 4, 5]) + (1 - DECAY) * variance)
    assert norm.num_batches_tracked.item() == 1


def test_evaluation_uses_the_running_statistics() -> None:
    norm = layer().eval()
    output = norm(images())
    close(output, normalized(images().double().numpy(), norm, np.asarray([2, 3, 4]), np.asarray([3, 4, 5])))
    assert norm.running_mean.tolist() == [2, 3, 4]
    assert norm.running_var.tolist() == [3, 4, 5]


@pytest.mark.parametrize(("attribute", "value"), [("update_statistics", False), ("momentum", 0.0)])
def test_updates_can_be_switched_off(attribute: str, value: float) -> None:
    norm = layer()
    setattr(norm, attribute, value)
    close(norm(images()), layer()(images()).detach().numpy())
    assert norm.running_mean.tolist() == [2, 3, 4]
    assert norm.running_var.tolist() == [3, 4, 5]


def test_no_momentum_means_the_average_of_all_batches() -> None:
    norm = layer()
    norm.momentum = None
    means = [batch_statistics(images(offset).double().numpy())[0] for offset in (0, 4)]
    for offset in (0, 4):
        norm(images(offset))
    close(norm.running_mean, np.mean(means, axis=0))


def test_submissions_find_an_ordinary_batch_normalization() -> None:
    norm = BatchNorm2d(CHANNELS)
    assert isinstance(norm, torch.nn.BatchNorm2d)
    assert norm.update_statistics
    assert (norm.momentum, norm.eps) == (0.1, EPSILON)
    assert list(norm.state_dict()) == list(torch.nn.BatchNorm2d(CHANNELS).state_dict())


class Result(NamedTuple):
    """The results of one forward and backward pass."""

    output: Tensor
    input_gradient: Tensor
    weight_gradient: Tensor
    bias_gradient: Tensor
    running_mean: Tensor
    running_var: Tensor


def run(features: Tensor, output_gradient: Tensor, paddings: Tensor | None = None) -> Result:
    features = features.clone().requires_grad_()
    norm = layer() if paddings is None else filled(frames.BatchNorm(CHANNELS, 0.999, scale="weight"))
    output = norm(features) if paddings is None else norm(features, paddings)
    output.backward(output_gradient)
    gradients = (features.grad, norm.weight.grad, norm.bias.grad)
    return Result(*(t.detach() for t in (output, *gradients, norm.running_mean, norm.running_var) if t is not None))


def cases() -> list[tuple[Tensor, ...]]:
    """Features, output gradients, and paddings of frames.

    Images around zero and with a mean of a thousand times the standard deviation; frames of utterances of different
    lengths, and such that one process has nothing but padding.
    """
    gradient = torch.from_numpy(np.random.default_rng(1).standard_normal((8, CHANNELS, 5, 4), np.float32))
    utterances, of_frames = images()[..., 0].transpose(1, 2), gradient[..., 0].transpose(1, 2)
    lengths = torch.tensor([[1, 1, 2, 0, 5, 3, 5, 4], [5, 4, 3, 2, 0, 0, 0, 0]])
    paddings = [(torch.arange(5) >= row[:, None]).float() for row in lengths]
    return [
        (images(), gradient),
        (images(offset=2000.0), gradient),
        *((utterances, of_frames, padding) for padding in paddings),
    ]


def run_rank(rank: int, folder: pathlib.Path) -> None:
    """One of the two processes: runs its half of every case and leaves the results in the folder."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo",
        init_method=(folder / "meeting").as_uri(),
        rank=rank,
        world_size=RANKS,
        timeout=datetime.timedelta(seconds=30),
    )
    results = [run(*(tensor.chunk(RANKS)[rank] for tensor in case)) for case in cases()]
    torch.save([tuple(result) for result in results], folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def of_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[list[Result]]:
    """Rank -> case -> result."""
    folder = tmp_path_factory.mktemp("ranks")
    # A fork of this process would inherit the threads' locks.
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=run_rank, args=(rank, folder)) for rank in range(RANKS)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    assert codes == [0] * RANKS, "None means a rank that did not end in time"
    return [[Result(*tensors) for tensors in torch.load(folder / f"{rank}.pt")] for rank in range(RANKS)]


# At a mean of 2000, float32 resolves 1e-4 of the features' standard deviation.
@pytest.mark.parametrize(("case", "tolerance"), [(0, 1e-5), (1, 1e-3), (2, 1e-5), (3, 1e-5)])
def test_two_ranks_compute_what_one_process_does(of_ranks: list[list[Result]], case: int, tolerance: float) -> None:
    whole, (first, second) = run(*cases()[case]), (of_ranks[0][case], of_ranks[1][case])

    def same(actual: Tensor, expected: Tensor) -> None:
        torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)

    same(torch.cat([first.output, second.output]), whole.output)
    same(torch.cat([first.input_gradient, second.input_gradient]), whole.input_gradient)
    # The loss is a sum over the batch, so its gradient is the sum of the ranks' gradients.
    same(first.weight_gradient + second.weight_gradient, whole.weight_gradient)
    same(first.bias_gradient + second.bias_gradient, whole.bias_gradient)
    for rank in (first, second):
        same(rank.running_mean, whole.running_mean)
        same(rank.running_var, whole.running_var)
    assert torch.equal(first.running_mean, second.running_mean)
    assert torch.equal(first.running_var, second.running_var)
