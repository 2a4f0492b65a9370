"""What a checkpoint of a PyTorch trial saves, in one process and in several."""

import concurrent.futures
import json
import pathlib
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from algoperf_jax.errors import RunError
from algoperf_jax.outputs.checkpoint import Checkpoints
from algoperf_jax.trial.backend import Content, Packed
from algoperf_jax.trial.run_state import RunState
from torch_compat.checkpoints import checkpointed_state
from torch_compat.processes import Processes

CPU = torch.device("cpu")


class Model(torch.nn.Module):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(width, 2)
        self.norm = torch.nn.BatchNorm1d(2)


def content(model: Model) -> Content:
    return Content(model, None, {"optimizer": torch.optim.AdamW(model.parameters()), "steps": 0})


def through_files(packed: Packed) -> Packed:
    values = json.loads(json.dumps(packed.values))
    return Packed({name: np.array(array) for name, array in packed.arrays.items()}, values)


def changed() -> Content:
    """The state after a step, with gradients that are still needed, and a frozen layer."""
    state = content(Model())
    module: Any = state.params
    module.norm(module.linear(torch.randn(4, 3))).square().sum().backward()
    state.optimizer_state["optimizer"].step()
    module.linear.bias.requires_grad_(False)
    return state._replace(optimizer_state={**state.optimizer_state, "steps": 1})


def test_parameters_statistics_gradients_and_frozen_layers_come_back() -> None:
    saved = changed()
    template = content(Model())
    module = template.params
    found = checkpointed_state.unpack(template, through_files(checkpointed_state.pack(saved, CPU)), CPU)
    assert found.params is module
    assert found.optimizer_state["steps"] == 1
    ours, theirs = module.state_dict(), saved.params.state_dict()
    assert ours["norm.num_batches_tracked"] == 1
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    for mine, other in zip(module.parameters(), saved.params.parameters(), strict=True):
        assert mine.requires_grad == other.requires_grad
        assert (mine.grad is None) == (other.grad is None)
        assert mine.grad is None or torch.equal(mine.grad, other.grad)


def test_random_numbers_resume() -> None:
    torch.manual_seed(5)
    kept = through_files(checkpointed_state.pack(content(Model()), CPU))
    expected = torch.rand(3)
    torch.manual_seed(6)
    checkpointed_state.unpack(content(Model()), kept, CPU)
    # `Model` seeds the generator, so numbers after the restored state differ from its first ones.
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


def test_lists_of_the_parameters_hold_the_parameters_again() -> None:
    saved, template = content(Model()), content(Model())
    saved.optimizer_state["watched"] = list(saved.params.parameters())
    found = checkpointed_state.unpack(template, through_files(checkpointed_state.pack(saved, CPU)), CPU)
    watched = found.optimizer_state["watched"]
    assert all(one is other for one, other in zip(watched, found.params.parameters(), strict=True))


def test_another_model_is_refused_by_name() -> None:
    kept = through_files(checkpointed_state.pack(content(Model()), CPU))
    with pytest.raises(RunError, match=r"the tensor 'linear\.weight' of the module is in the checkpoint or in a new"):
        checkpointed_state.unpack(content(Model(width=4)), kept, CPU)


def test_values_that_differ_between_processes_are_saved_for_each() -> None:
    parts = [
        Packed({"weights": np.arange(3.0), "random": np.full(2, rank)}, {"state": [1], "queue": rank})
        for rank in range(2)
    ]
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        exchange = Exchange()
        ranks = [exchange.processes(rank) for rank in range(2)]
        everywhere = list(threads.map(checkpointed_state.shared, parts, ranks))
    for kept in everywhere:
        assert set(kept.arrays) == {"weights", "process_0.random", "process_1.random"}
        assert set(kept.values) == {"state", "process_0.queue", "process_1.queue", "processes"}
        for rank, expected in enumerate(parts):
            found = checkpointed_state.own(through_files(kept), Processes(rank, 2, CPU, grouped=True))
            assert found.values["queue"] == rank
            assert set(found.arrays) == set(expected.arrays)
            for name, array in expected.arrays.items():
                np.testing.assert_array_equal(found.arrays[name], array)


class Exchange:
    """Represents processes by threads: each gathers the values of all."""

    def __init__(self) -> None:
        self._barrier = threading.Barrier(2, timeout=10)
        self._brought: list[Any] = [None, None]

    def processes(self, rank: int) -> Any:
        def gather(value: Any) -> list[Any]:
            self._brought[rank] = value
            self._barrier.wait()
            gathered = list(self._brought)
            self._barrier.wait()
            return gathered

        return SimpleNamespace(rank=rank, count=2, gather=gather)


def test_another_number_of_processes_is_refused() -> None:
    with pytest.raises(RunError, match="the checkpoint was written by 2 processes: found 1; expected 2 again"):
        checkpointed_state.own(Packed({}, {"processes": 2}), Processes(0, 1, CPU, grouped=False))


class Backend:
    """What `Checkpoints` needs of a backend."""

    def pack(self, content: Content) -> Packed:
        return checkpointed_state.pack(content, CPU)

    def shardings(self, packed: Packed) -> dict[str, Any]:
        del packed
        return {}

    def unpack(self, template: Content, packed: Packed) -> Content:
        return checkpointed_state.unpack(template, packed, CPU)


def test_orbax_saves_and_restores_it(tmp_path: pathlib.Path) -> None:
    backend: Any = Backend()
    saved = changed()
    saved.optimizer_state["half"] = torch.full((3,), 1 / 3, dtype=torch.bfloat16)
    saved.optimizer_state["nothing"] = torch.zeros(0)
    saved.optimizer_state["nan"] = float("nan")
    checkpoints = Checkpoints(tmp_path, backend, keep=2)
    checkpoints.save(RunState(*saved, rng=np.zeros(2, np.uint32), step=1), {})
    template = RunState(*content(Model()), rng=np.zeros(2, np.uint32))
    restored = Checkpoints(tmp_path, backend, keep=2).restore(template, lambda line: pytest.fail(line)).state
    assert torch.equal(restored.optimizer_state["half"], saved.optimizer_state["half"])
    assert restored.optimizer_state["nothing"].shape == (0,)
    assert np.isnan(restored.optimizer_state["nan"])
    moments = [state.optimizer_state["optimizer"].state_dict()["state"] for state in (saved, restored)]
    for number, entries in moments[0].items():
        assert all(torch.equal(entries[key], moments[1][number][key]) for key in entries)
