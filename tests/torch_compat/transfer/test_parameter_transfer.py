"""Transfer of parameters and statistics between the JAX trees and a module: bit for bit, without shared memory."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import workloads
from algoperf_jax import parameters
from algoperf_jax.errors import SubmissionError
from tests import golden_support
from tests.workloads import reduced
from torch_compat import twins
from torch_compat.transfer import bridge
from torch_compat.transfer.leaves import linear_leaves, row_leaves
from torch_compat.transfer.parameter_transfer import ParameterTransfer
from torch_compat.transfer.torch_model import Joined, Leaf, TorchModel

CASES = [
    *((name, "twin") for name in workloads.names()),
    *((name, "bridge") for name in workloads.base_names()),
]


def connected(name: str, kind: str) -> tuple[TorchModel, ParameterTransfer]:
    workload = reduced.load(name)
    model = bridge.build(workload) if kind == "bridge" else twins.load(workload)
    assert model is not None
    abstract = jax.eval_shape(workload.init, jax.ShapeDtypeStruct((2,), "uint32"))
    return model, ParameterTransfer(model.parameters, model.buffers, abstract)


def odd_values(tree: Any) -> Any:
    """Recipe numbers, including some that only an exact copy preserves."""

    def odd(leaf: np.ndarray) -> np.ndarray:
        leaf = np.array(leaf)
        values = [np.float32(-0.0), np.float32(1e-42), np.nextafter(np.float32(1), np.float32(2))]
        leaf.reshape(-1)[:3] = values[: leaf.size]
        return leaf

    return jax.tree.map(odd, tree)


def paths_of(leaf: Leaf | Joined) -> list[str]:
    return [part.path for part in leaf.parts if not part.is_addend]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_there_and_back_is_the_identity_bit_for_bit(name: str, kind: str) -> None:
    model, transfer = connected(name, kind)
    params, state = odd_values(golden_support.recipe_state(reduced.load(name)))
    module = model.make_module()
    transfer.to_module(params, state, module)
    for path, array in parameters.paths(params).items():
        # The parts of a joined tensor are concatenated.
        leaf_name, parts = next((n, leaf.parts) for n, leaf in model.parameters.items() if path in paths_of(leaf))
        before = [part.path for part in parts].index(path) * array.size
        flat = module.get_parameter(leaf_name).detach().numpy().reshape(-1)[before : before + array.size]
        part = next(part for part in parts if part.path == path)
        assert flat.tobytes() == part.to_torch(array).tobytes(), path
    found = transfer.from_module(module, "update_params")
    assert jax.tree.structure(found) == jax.tree.structure((params, state))
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves((params, state)), strict=True):
        assert np.asarray(ours).tobytes() == theirs.tobytes()


@pytest.mark.parametrize("group_bytes", [0, 200, 5000])
def test_arrays_that_cross_in_several_groups_are_the_same(group_bytes: int) -> None:
    workload = reduced.load("cifar")
    model = twins.load(workload)
    assert model is not None
    abstract = jax.eval_shape(workload.init, jax.ShapeDtypeStruct((2,), "uint32"))
    trees = odd_values(golden_support.recipe_state(workload))
    found = []
    for limit in (group_bytes, 2**30):
        transfer = ParameterTransfer(model.parameters, model.buffers, abstract, group_bytes=limit)
        module = model.make_module()
        transfer.to_module(trees[0], trees[1], module)
        found.append((module.state_dict(), transfer.from_module(module, "update_params")))
    (tensors, exported), (expected_tensors, expected) = found
    assert all(torch.equal(tensors[name], expected_tensors[name]) for name in model.parameters)
    assert jax.tree.structure(exported) == jax.tree.structure(trees)
    jax.tree.map(np.testing.assert_array_equal, exported, trees)
    jax.tree.map(np.testing.assert_array_equal, exported, expected)


class Lookup(torch.nn.Module):
    """An embedding table that is split into four tensors, after another layer."""

    def __init__(self) -> None:
        super().__init__()
        self.top = torch.nn.Linear(3, 2)
        for index in range(4):
            self.register_parameter(f"chunk_{index}", torch.nn.Parameter(torch.empty(2, 3)))


LOOKUP: dict[str, Any] = {
    "Dense_0": {"bias": np.arange(2, dtype=np.float32), "kernel": np.arange(6, dtype=np.float32).reshape(3, 2)},
    "table": np.arange(1, 25, dtype=np.float32).reshape(8, 3),
}


@pytest.mark.parametrize("group_bytes", [0, 40, 2**20])
def test_an_array_may_be_split_into_tensors_by_rows(group_bytes: int) -> None:
    leaves = linear_leaves("top", "Dense_0") | row_leaves("chunk", "table", num_rows=8, count=4)
    transfer = ParameterTransfer(leaves, {}, (LOOKUP, None), group_bytes=group_bytes)
    assert transfer.parameter_shapes["chunk_2"] == (2, 3)
    module = Lookup()
    params = jax.tree.map(jnp.asarray, LOOKUP)
    transfer.to_module(params, None, module)
    for index in range(4):
        rows = LOOKUP["table"][2 * index : 2 * index + 2]
        np.testing.assert_array_equal(module.get_parameter(f"chunk_{index}").detach().numpy(), rows)
    exported, _ = transfer.from_module(module, "update_params")
    jax.tree.map(np.testing.assert_array_equal, exported, LOOKUP)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(-1)
    # The module's memory is neither that of the arguments nor that of the results.
    jax.tree.map(np.testing.assert_array_equal, (params, exported), (LOOKUP, LOOKUP))
    negated, _ = transfer.from_module(module, "update_params")
    jax.tree.map(lambda array, given: np.testing.assert_array_equal(array, -given), negated, LOOKUP)


class TwoBiases(torch.nn.Module):
    """A layer with two biases for the one of JAX, each of two parts."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (torch.nn.Parameter(torch.empty(4)) for _ in range(2))


@pytest.mark.parametrize("group_bytes", [0, 2**20])
def test_an_array_may_be_the_sum_of_two_tensors(group_bytes: int) -> None:
    params = {name: np.asarray(values, np.float32) for name, values in (("a", [1, -0.0]), ("b", [1e-42, np.inf]))}
    leaves = {
        name: Joined(tuple(Leaf(path, is_addend=name == "first") for path in params)) for name in ("first", "second")
    }
    transfer = ParameterTransfer(leaves, {}, (params, None), group_bytes=group_bytes)
    module = TwoBiases()
    transfer.to_module(params, None, module)
    assert module.first.tolist() == [0.0] * 4
    found, _ = transfer.from_module(module, "update_params")
    for path, array in params.items():
        assert np.asarray(found[path]).tobytes() == array.tobytes()
    with torch.no_grad():
        module.first.copy_(torch.tensor([0.5, 0.25, 1.0, 2.0]))
        module.second.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    found, _ = transfer.from_module(module, "update_params")
    np.testing.assert_array_equal(found["a"], [1.5, 2.25])
    np.testing.assert_array_equal(found["b"], [4.0, 6.0])


def test_a_single_array_may_be_the_sum_of_two_tensors() -> None:
    params = {"a": np.arange(4, dtype=np.float32)}
    leaves = {"first": Leaf("a", is_addend=True), "second": Leaf("a")}
    transfer, module = ParameterTransfer(leaves, {}, (params, None), group_bytes=0), TwoBiases()
    transfer.to_module(params, None, module)
    np.testing.assert_array_equal(module.second.detach(), params["a"])
    with torch.no_grad():
        module.first.fill_(1.0)
    np.testing.assert_array_equal(transfer.from_module(module, "update_params")[0]["a"], params["a"] + 1)


def test_an_addend_without_another_tensor_is_refused() -> None:
    with pytest.raises(ValueError, match="table: no tensor holds the rows from 0 on"):
        ParameterTransfer({"first": Leaf("table", is_addend=True)}, {}, ({"table": LOOKUP["table"]}, None))


def test_rows_of_a_transposed_array_are_those_of_the_jax_array() -> None:
    leaves = {f"part_{i}": Leaf("table", (1, 0), rows=slice(4 * i, 4 * i + 4)) for i in range(2)}
    module = torch.nn.Module()
    for name in leaves:
        module.register_parameter(name, torch.nn.Parameter(torch.empty(3, 4)))
    table = {"table": LOOKUP["table"]}
    transfer = ParameterTransfer(leaves, {}, (table, None))
    transfer.to_module(table, None, module)
    np.testing.assert_array_equal(module.get_parameter("part_1").detach().numpy(), table["table"][4:].T)
    np.testing.assert_array_equal(transfer.from_module(module, "update_params")[0]["table"], table["table"])


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ([(0, 4)], r"table: no tensor holds the rows from 4 on"),
        ([(0, 4), (5, 8)], r"table: tensors hold row 4 twice or never"),
        ([(0, 4), (3, 8)], r"table: tensors hold row 3 twice or never"),
    ],
)
def test_rows_that_are_held_twice_or_never_are_refused(chunks: list[tuple[int, int]], message: str) -> None:
    leaves = {f"chunk_{start}": Leaf("table", rows=slice(start, stop)) for start, stop in chunks}
    with pytest.raises(ValueError, match=message):
        ParameterTransfer(leaves, {}, ({"table": LOOKUP["table"]}, None))


def test_torch_owns_the_memory_of_its_parameters() -> None:
    """Submissions write `p.data`, replace it and change it in place; no JAX array may notice."""
    model, transfer = connected("mnist", "twin")
    params = jax.tree.map(jnp.asarray, golden_support.recipe_state(workloads.load("mnist"))[0])
    before = jax.tree.map(np.array, params)
    module = model.make_module()
    transfer.to_module(params, None, module)
    exported, _ = transfer.from_module(module, "update_params")
    exported_before = jax.tree.map(np.array, exported)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(2)
            parameter.data.add_(1)
            parameter.data = parameter.data * 3
    jax.tree.map(np.testing.assert_array_equal, params, before)
    jax.tree.map(np.testing.assert_array_equal, exported, exported_before)
    again, _ = transfer.from_module(module, "update_params")
    jax.tree.map(lambda new, old: np.testing.assert_allclose(new, (2 * old + 1) * 3, rtol=1e-6), again, before)


def test_a_replaced_and_permuted_parameter_is_read_where_it_is_now() -> None:
    model, transfer = connected("cifar", "twin")
    module = model.make_module()
    transfer.to_module(*golden_support.recipe_state(workloads.load("cifar")), module)
    expected = transfer.from_module(module, "update_params")
    module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    module.get_submodule("fc").register_parameter(
        "weight", torch.nn.Parameter(module.get_parameter("fc.weight").detach().T.contiguous().T)
    )
    jax.tree.map(np.testing.assert_array_equal, transfer.from_module(module, "update_params"), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda layer: setattr(layer.weight, "data", torch.zeros(3, 784)), r"net\.layer1\.weight: \(3, 784\)"),
        (lambda layer: layer.bfloat16(), r"net\.layer1\.weight: \(128, 784\) of torch\.bfloat16"),
        (lambda layer: layer.register_parameter("weight", None), r"net\.layer1\.weight: none"),
    ],
)
def test_parameters_of_another_kind_are_refused_by_name(change: Any, message: str) -> None:
    model, transfer = connected("mnist", "twin")
    module = model.make_module()
    change(module.get_submodule("net.layer1"))
    with pytest.raises(SubmissionError, match=rf"update_params left the module with another {message}"):
        transfer.from_module(module, "update_params")
