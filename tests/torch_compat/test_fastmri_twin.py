"""Peculiarities of the U-Net's twin: odd sizes, dropout of channels, further leaves of a batch."""

from typing import Any

import numpy as np
import pytest
import torch

import workloads
from tests import golden_support
from tests.torch_compat import module_support
from tests.workloads.golden_batches import BATCHES
from torch_compat import twins
from torch_compat.models.fastmri import ChannelDropout
from torch_compat.transfer.torch_model import TorchModel

NAMES = [name for name in BATCHES if workloads.base_name(name) == "fastmri"]


def twin_and_module(name: str) -> tuple[TorchModel, torch.nn.Module]:
    workload = workloads.load(name)
    twin = twins.load(workload)
    assert twin is not None
    return twin, module_support.filled(twin, *golden_support.recipe_state(workload))


def evaluated(module: torch.nn.Module, inputs: np.ndarray) -> np.ndarray:
    return module.eval()({"inputs": torch.from_numpy(inputs)}, dropout_rate=0.0).detach().numpy()


@pytest.mark.parametrize("name", NAMES)
def test_sizes_that_do_not_halve(name: str) -> None:
    golden = golden_support.numbers(name)
    found = evaluated(twin_and_module(name)[1], golden["odd/inputs"])
    np.testing.assert_allclose(found, golden["odd/logits"], rtol=0, atol=5e-5)


def test_the_small_variant_computes_what_the_jax_model_computes() -> None:
    workload, (_, module) = workloads.load("fastmri_small"), twin_and_module("fastmri_small")
    images = np.random.default_rng(0).standard_normal((2, 32, 37), np.float32)
    key: Any = np.zeros(2, np.uint32)
    params, _ = golden_support.recipe_state(workload)
    theirs, _ = workload.apply(params, None, {"inputs": images}, key, train=False, update_batch_norm=False)
    np.testing.assert_allclose(evaluated(module, images), theirs, rtol=0, atol=5e-5)


def test_dropout_acts_on_whole_channels_in_training_only() -> None:
    dropout, features = ChannelDropout(), torch.ones(40, 50, 3, 3)
    torch.testing.assert_close(dropout.eval()(features, 0.5), features)
    dropped = dropout.train()(features, 0.5)
    assert (dropped.amin(dim=(2, 3)) == dropped.amax(dim=(2, 3))).all()
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    # Five standard deviations of a binomial fraction.
    assert abs((dropped == 0).double().mean().item() - 0.5) < 5 * 0.5 / 2000**0.5


def test_every_block_drops_out_twice_at_the_rate_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = []

    def record(self: ChannelDropout, features: torch.Tensor, rate: float) -> torch.Tensor:
        rates.append((rate, self.training))
        return features

    monkeypatch.setattr(ChannelDropout, "forward", record)
    _, module = twin_and_module("fastmri_small")
    module.train()({"inputs": torch.zeros(1, 32, 32)}, dropout_rate=0.25)
    assert rates == [(0.25, True)] * 10


@pytest.mark.parametrize(("name", "last"), [("fastmri", "up_conv.3"), ("fastmri_model_size", "up_conv.2")])
def test_the_output_layer_is_where_the_jax_model_has_it(name: str, last: str) -> None:
    workload = workloads.load(name)
    twin = twins.load(workload)
    assert twin is not None
    first_names = {name: leaf.parts[0].path.split("/")[0] for name, leaf in twin.parameters.items()}
    output = [name for name, first in first_names.items() if first in workload.output_parameters]
    assert output == [f"{last}.1.weight", f"{last}.1.bias"]
