"""A table in four parameters is looked up like their concatenation, wherever their memory is."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch.nn import functional

from torch_compat.layers import split_table
from torch_compat.layers.split_table import SplitTable, are_neighbors, concatenated

NUM_ROWS, WIDTH = 12, 3
IDS = torch.tensor([[0, 2, 3], [11, 3, 3], [5, 8, 6]])


def table() -> SplitTable:
    generator = torch.Generator().manual_seed(0)
    module = SplitTable(NUM_ROWS, WIDTH)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return module


def chunks(module: torch.nn.Module) -> list[torch.Tensor]:
    return list(module.parameters())


def gradients_of_concatenation(module: SplitTable) -> tuple[torch.Tensor, ...]:
    return torch.autograd.grad(functional.embedding(IDS, torch.cat(chunks(module))).sin().sum(), chunks(module))


def swapped(module: SplitTable) -> SplitTable:
    parameter = module.get_parameter("embedding_chunk_1")
    parameter.data = parameter.data + 0
    return module


def transposed(module: SplitTable) -> SplitTable:
    for parameter in module.parameters():
        parameter.data = parameter.data.T.contiguous().T
    return module


MOVES: dict[str, tuple[Callable[[SplitTable], SplitTable], bool]] = {
    "new": (lambda module: module, True),
    "copied": (copy.deepcopy, False),
    "of another type": (lambda module: module.double(), True),
    "shared": (lambda module: module.share_memory(), True),
    "with a chunk elsewhere": (swapped, False),
    "with transposed chunks": (transposed, False),
}
"""What a submission may do with the module, and whether the chunks are neighbors afterwards."""


@pytest.mark.parametrize("how", MOVES)
def test_values_and_gradients_are_those_of_the_concatenation(how: str) -> None:
    move, expected = MOVES[how]
    module = move(table())
    assert are_neighbors(chunks(module)) == expected
    rows = module.look_up(IDS)
    assert torch.equal(rows, functional.embedding(IDS, torch.cat(chunks(module))))
    rows.sin().sum().backward()
    for parameter, gradient in zip(module.parameters(), gradients_of_concatenation(module), strict=True):
        assert parameter.grad is not None
        assert torch.equal(parameter.grad, gradient)


def test_neighbors_are_not_copied_and_neither_are_their_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    module = table()
    monkeypatch.setattr(torch, "cat", lambda tensors: pytest.fail("a copy of the table"))
    assert concatenated(chunks(module)).data_ptr() == module.get_parameter("embedding_chunk_0").data_ptr()
    for _ in range(2):
        module.look_up(IDS).sum().backward()
        gradients = [
            torch.nn.Parameter(parameter.grad) for parameter in module.parameters() if parameter.grad is not None
        ]
        assert are_neighbors(gradients)


def test_an_optimizer_that_writes_in_place_changes_what_is_looked_up() -> None:
    module = table()
    before = module.look_up(IDS).detach().clone()
    module.look_up(IDS).sum().backward()
    torch.optim.SGD(module.parameters(), lr=1.0).step()
    counts = torch.bincount(IDS.flatten(), minlength=NUM_ROWS)[IDS]
    torch.testing.assert_close(module.look_up(IDS), before - counts[..., None])


def test_second_derivatives_and_functional_calls_work() -> None:
    module = table().double()
    assert torch.autograd.gradgradcheck(lambda *given: concatenated(given).sin(), chunks(module))

    def loss(parameters: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.func.functional_call(Summed(module), {f"table.{k}": v for k, v in parameters.items()}, (IDS,))

    found = torch.func.grad(loss)({name: parameter.detach() for name, parameter in module.named_parameters()})
    for gradient, expected in zip(found.values(), gradients_of_concatenation(module), strict=True):
        torch.testing.assert_close(gradient, expected)


class Summed(torch.nn.Module):
    """A number computed from a lookup."""

    def __init__(self, table: SplitTable) -> None:
        super().__init__()
        self.table = table

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.table.look_up(ids).sin().sum()


def test_while_compiling_the_compiler_sees_a_concatenation(monkeypatch: pytest.MonkeyPatch) -> None:
    module = table()
    monkeypatch.setattr(split_table.torch.compiler, "is_compiling", lambda: True)
    found = concatenated(chunks(module))
    assert found.data_ptr() != module.get_parameter("embedding_chunk_0").data_ptr()
    assert torch.equal(found, torch.cat(chunks(module)))
