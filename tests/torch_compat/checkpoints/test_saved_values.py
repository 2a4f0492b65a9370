"""All values of a PyTorch submission are restored bit for bit, with their Python types, from JSON and NumPy arrays."""

import collections
import enum
import functools
import json
import math
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from algoperf_jax.errors import RunError, SubmissionError
from algoperf_jax.trial.backend import Packed
from torch_compat.checkpoints.saved_values import pack, unpack


class Point(NamedTuple):
    learning_rate: float
    betas: tuple[float, float]


class Phase(enum.Enum):
    WARMUP = 1
    DECAY = 2


class Averager:
    """Saves itself, as PyTorch's optimizers do."""

    def __init__(self, size: int) -> None:
        self.average = torch.zeros(size)
        self.count = 0

    def state_dict(self) -> dict[str, Any]:
        return {"average": self.average, "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.average, self.count = state["average"], state["count"]


class Helper:
    """Does not save itself."""

    def __init__(self) -> None:
        self.buffer = torch.zeros(2)
        self.seen: list[int] = []
        self.function: Callable[..., Any] = max


def through_files(value: Any) -> Packed:
    saved = pack(value)
    assert all(set(name) <= set("._-") | set("0123456789") | set(map(chr, range(65, 123))) for name in saved.arrays)
    return Packed({name: array.copy() for name, array in saved.arrays.items()}, json.loads(json.dumps(saved.values)))


def returned(value: Any, template: Any = None) -> Any:
    return unpack(template, through_files(value))


def assert_same(ours: Any, theirs: Any) -> None:
    assert type(ours) is type(theirs)
    if isinstance(ours, torch.Tensor):
        assert (ours.dtype, ours.shape, ours.requires_grad) == (theirs.dtype, theirs.shape, theirs.requires_grad)
        ours, theirs = (tensor.detach().contiguous().reshape(-1).view(torch.uint8) for tensor in (ours, theirs))
        assert torch.equal(ours, theirs)
    elif isinstance(ours, np.ndarray | np.generic):
        assert ours.dtype == theirs.dtype
        assert ours.tobytes() == theirs.tobytes()
    elif isinstance(ours, dict):
        assert list(ours) == list(theirs)
        for key in ours:
            assert_same(ours[key], theirs[key])
    elif isinstance(ours, list | tuple | collections.deque):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
    elif isinstance(ours, float) and math.isnan(ours):
        assert math.isnan(theirs)
    else:
        assert ours == theirs
        assert repr(ours) == repr(theirs)  # 0.0 and -0.0 are equal


VALUES = [
    None,
    True,
    2**70,
    -0.0,
    math.nan,
    -math.inf,
    0.1 + 0.2,
    "κ\n",
    b"\x00\xff",
    1 - 2j,
    torch.float32,
    torch.device("cpu"),
    torch.Size([2, 3]),
    [1, [2.5, None]],
    (1, (True, "x")),
    {1, 2},
    frozenset({"a"}),
    {"a": 1, 2: "b", (1, 2): None, 0.5: [1]},
    collections.OrderedDict([("b", 1), ("a", 2)]),
    collections.deque([1, 2, 3], maxlen=3),
    Phase.DECAY,
    np.arange(6.0).reshape(2, 3),
    np.float64(0.1),
    torch.arange(6).reshape(2, 3).T,
    torch.tensor(1.5),
    torch.zeros(0, 3),
    torch.ones(2, requires_grad=True),
    torch.full((3,), 1 / 3, dtype=torch.bfloat16),
    torch.full((), 1 / 3, dtype=torch.bfloat16),
    torch.ones(2, dtype=torch.float8_e4m3fn),
    torch.tensor([1, -1], dtype=torch.int8),
    torch.tensor([True, False]),
    torch.tensor([1 + 2j]),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{type(value).__name__}-{str(value)[:12]}")
def test_values_come_back_with_and_without_a_template(value: Any) -> None:
    assert_same(returned({"value": value}, {})["value"], value)
    assert_same(returned({"value": value}, {"value": value})["value"], value)


def test_named_tuples_are_of_the_class_that_the_template_has() -> None:
    point = Point(0.1, (0.9, 0.99))
    assert_same(returned(point, Point(0.0, (0.0, 0.0))), point)
    made = returned({"point": point}, {})["point"]
    assert made._asdict() == point._asdict()


def test_what_closures_may_hold_is_filled_in_place() -> None:
    helper = Helper()
    template = {"list": [0], "dict": {"a": 1}, "tensor": torch.zeros(2), "helper": helper, "deque": collections.deque()}
    before = dict(template)
    changed = Helper()
    changed.buffer += 3
    changed.seen.append(7)
    value = {
        "list": [1, 2],
        "dict": {"b": 2},
        "tensor": torch.ones(2),
        "helper": changed,
        "deque": collections.deque([5]),
    }
    buffer = helper.buffer
    found = returned(value, template)
    assert found is template
    assert all(found[name] is before[name] for name in before)
    assert (found["list"], found["dict"], list(found["deque"])) == ([1, 2], {"b": 2}, [5])
    assert torch.equal(found["tensor"], torch.ones(2))
    assert helper.buffer is buffer
    assert torch.equal(buffer, torch.full((2,), 3.0))
    assert helper.seen == [7]


def test_code_comes_from_the_template() -> None:
    first, second = (lambda: 1), (lambda: 2)
    found = returned({"function": first, "module": math}, {"function": second, "module": types})
    assert found["function"] is second
    assert found["module"] is types


def test_shared_objects_and_cycles_are_restored() -> None:
    tensor, items = torch.ones(2), [1]
    items.append(items)  # pyright: ignore[reportArgumentType]
    saved = through_files({"a": tensor, "b": tensor, "items": items})
    assert len(saved.arrays) == 1
    found = unpack({}, saved)
    assert found["a"] is found["b"]
    assert found["items"][1] is found["items"]


def test_an_average_that_was_initially_the_parameters_is_restored_separately() -> None:
    parameter = torch.nn.Parameter(torch.zeros(2))
    saved = through_files({"model": torch.nn.Parameter(torch.ones(2)), "average": torch.full((2,), 0.5)})
    found = unpack({"model": parameter, "average": parameter}, saved)
    assert found["model"] is parameter
    assert torch.equal(parameter, torch.ones(2))
    assert torch.equal(found["average"], torch.full((2,), 0.5))


def model_and_state(kind: str) -> tuple[torch.nn.Module, dict[str, Any]]:
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    optimizer = {
        "adam": lambda p: torch.optim.AdamW(p, lr=0.1),
        "nadam": lambda p: torch.optim.NAdam(p, lr=0.1, foreach=True),
        "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
        "lbfgs": lambda p: torch.optim.LBFGS(p, lr=0.1, max_iter=2),
    }[kind](model.parameters())
    schedulers = torch.optim.lr_scheduler
    half_steps: Any = 10.5  # as submissions pass it
    warmup = schedulers.LinearLR(optimizer, start_factor=0.1, total_iters=2)
    decay = schedulers.CosineAnnealingLR(optimizer, T_max=half_steps)
    state = {
        "optimizer": optimizer,
        "scheduler": schedulers.SequentialLR(optimizer, [warmup, decay], milestones=[2]),
        "hyperparameters": Point(0.1, (0.9, 0.99)),
        "ema": [torch.zeros_like(p) for p in model.parameters()],
        "max_checked_eval_step": -1,
        "averager": Averager(2),
        "first_eval": True,
        "function": lambda: None,
    }
    return model, state


def train(model: torch.nn.Module, state: dict[str, Any], steps: range) -> None:
    for step in steps:
        inputs = torch.full((4, 3), 0.1 * (step + 1))

        def closure(inputs: torch.Tensor = inputs) -> torch.Tensor:
            state["optimizer"].zero_grad()
            loss = (model(inputs) - 1).square().sum()
            loss.backward()
            return loss

        state["optimizer"].step(closure)
        state["scheduler"].step()
        for average, parameter in zip(state["ema"], model.parameters(), strict=True):
            average.lerp_(parameter.detach(), 0.1)
        state["averager"].average += 1
        state["averager"].count += 1
        state["max_checked_eval_step"] = step
        state["first_eval"] = False


@pytest.mark.parametrize("kind", ["adam", "nadam", "sgd", "lbfgs"])
def test_training_resumes_bit_for_bit(kind: str) -> None:
    model, state = model_and_state(kind)
    train(model, state, range(4))
    saved = through_files((dict(model.named_parameters()), state))
    again, new_state = model_and_state(kind)
    _, found = unpack((dict(again.named_parameters()), new_state), saved)
    for one, other, steps in ((model, state, range(4, 9)), (again, found, range(4, 9))):
        train(one, other, steps)
    for ours, theirs in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    for ours, theirs in zip(state["ema"], found["ema"], strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(state["averager"].average, found["averager"].average)
    assert found["max_checked_eval_step"] == 8
    assert found["first_eval"] is False
    assert type(found["hyperparameters"]) is Point


def test_states_of_another_type_than_their_parameter_are_not_converted() -> None:
    def optimizer_with(moment: torch.Tensor | None) -> torch.optim.Optimizer:
        parameter = torch.nn.Parameter(torch.zeros(2))
        optimizer = torch.optim.SGD([parameter], lr=0.1)
        if moment is not None:
            optimizer.state[parameter]["moment"] = moment
        return optimizer

    moment = torch.full((2,), 1 / 3, dtype=torch.bfloat16)
    found = returned({"o": optimizer_with(moment)}, {"o": optimizer_with(None)})["o"]
    assert_same(next(iter(found.state.values()))["moment"], moment)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_moments_keep_their_parameter_and_their_type(dtype: torch.dtype) -> None:
    """Loading alone uses the order of the parameters, and rounds moments to the parameters' type."""

    def made(order: tuple[int, int]) -> tuple[dict[str, torch.nn.Parameter], torch.optim.Optimizer]:
        parameters = {name: torch.nn.Parameter(torch.zeros(2, dtype=dtype)) for name in ("first", "second")}
        return parameters, torch.optim.SGD([[*parameters.values()][index] for index in order], lr=0.1)

    saved_parameters, saved_optimizer = made((0, 1))
    for value, parameter in enumerate(saved_parameters.values()):
        saved_optimizer.state[parameter]["moment"] = torch.full((2,), value + 1 / 3)
    parameters, optimizer = returned((saved_parameters, saved_optimizer), made((1, 0)))
    for name, parameter in parameters.items():
        assert_same(optimizer.state[parameter]["moment"], saved_optimizer.state[saved_parameters[name]]["moment"])


def test_a_generator_resumes() -> None:
    generator, other = torch.Generator().manual_seed(3), torch.Generator()
    torch.rand(5, generator=generator)
    found = returned({"g": generator}, {"g": other})["g"]
    assert found is other
    assert torch.equal(torch.rand(5, generator=found), torch.rand(5, generator=generator))


@pytest.mark.parametrize(
    ("value", "template", "message"),
    [
        ({"ema": {"decay": max}}, {"ema": {}}, r"\['ema'\]\['decay'\]: .*nothing there"),
        ({"o": Averager(2)}, {}, r"\['o'\]: .*Averager.*nothing there"),
        ({"o": Averager(2)}, {"o": Helper()}, r"\['o'\]: .*Averager.*a Helper there"),
        ({"o": [1]}, {"o": Averager(2)}, r"\['o'\]: .*sequence.*an? Averager there"),
        ({"o": 1}, {"o": Averager(2)}, r"\['o'\]: .*plain value.*an? Averager there"),
        ({"h": Helper()}, {"h": None}, r"\['h'\]\.function: .*nothing there"),
        ([collections.defaultdict(list)], [None], r"\[0\]: .*defaultdict"),
    ],
)
def test_what_cannot_be_restored_is_named(value: Any, template: Any, message: str) -> None:
    with pytest.raises(RunError, match=message):
        returned(value, template)


def test_what_load_state_dict_refuses_is_named() -> None:
    with pytest.raises(RunError, match=r"\['o'\]: load_state_dict raised ValueError: another width"):
        returned({"o": Picky(2)}, {"o": Picky(1)})


class Picky:
    """Loads only states of its own width."""

    def __init__(self, width: int) -> None:
        self.width = width

    def state_dict(self) -> dict[str, Any]:
        return {"width": self.width}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state["width"] != self.width:
            raise ValueError("another width")


# --- parameter groups that change -------------------------------------------------------------------------------------


def test_a_parameter_without_a_group_whose_state_is_left_is_named_when_the_checkpoint_is_written() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([parameter])
    parameter.grad = torch.ones(2)
    optimizer.step()
    optimizer.param_groups.clear()
    with pytest.raises(SubmissionError, match=r"o is a Adam that has state of a parameter .*shape \(2,\).* no group"):
        pack({"o": optimizer})


def change_groups(optimizer: torch.optim.Optimizer, parameters: list[torch.Tensor], how: str) -> None:
    if how == "added":
        optimizer.add_param_group({"params": parameters[1:], "lr": 0.05})
    elif how == "extended":
        optimizer.param_groups[0]["params"] += parameters[1:]
    elif how == "replaced":
        optimizer.param_groups[0]["params"] = [parameters[2]]
        optimizer.state.clear()
    elif how == "removed":
        optimizer.param_groups.clear()
        optimizer.state.clear()
        optimizer.add_param_group({"params": parameters[1:]})
    elif how == "of its own":  # a tensor that is not the module's
        scale = torch.full((1,), 3.0, requires_grad=True)
        optimizer.add_param_group({"params": [scale]})
        parameters.append(scale)


@pytest.mark.parametrize("kind", [functools.partial(torch.optim.SGD, momentum=0.9), torch.optim.Adam])
@pytest.mark.parametrize("how", ["added", "extended", "replaced", "removed", "of its own"])
def test_parameter_groups_that_changed_come_back(kind: Any, how: str) -> None:
    def made() -> tuple[list[Any], Any, Any]:
        parameters: list[Any] = [torch.nn.Parameter(torch.arange(1.0, 3.0 + size)) for size in range(3)]
        optimizer = kind(parameters[:1], lr=0.1)
        return parameters, optimizer, torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)

    def advance(parameters: Any, optimizer: Any, scheduler: Any, steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            torch.stack([(parameter**2).sum() for parameter in parameters]).sum().backward()
            optimizer.step()
            scheduler.step()

    whole = made()
    advance(*whole, steps=2)
    change_groups(whole[1], whole[0], how)
    advance(*whole, steps=2)
    template = made()
    originals = list(template[0])
    resumed = returned(whole, template)
    assert all(one is other for one, other in zip(resumed[0][:3], originals, strict=True))
    groups = [[id(parameter) for parameter in group["params"]] for group in resumed[1].param_groups]
    assert {identity for group in groups for identity in group} <= {id(parameter) for parameter in resumed[0]}
    for one in (whole, resumed):
        advance(*one, steps=3)
    for ours, theirs in zip(resumed[0], whole[0], strict=True):
        assert torch.equal(ours, theirs)


# --- shared memory and nested optimizers
# ---------------------------------------------------------------------------------------------


def test_two_tensors_that_share_memory_still_do() -> None:
    parameter = torch.nn.Parameter(torch.arange(3.0))
    state = {"parameter": parameter, "same": parameter.data, "other": parameter.detach().clone()}
    template = {"parameter": torch.nn.Parameter(torch.zeros(3)), "same": torch.zeros(3), "other": torch.zeros(3)}
    back = returned(state, template)
    assert back["parameter"] is template["parameter"]
    assert not back["same"].requires_grad
    back["parameter"].data.add_(1.0)
    assert back["same"].tolist() == [1.0, 2.0, 3.0]
    assert back["other"].tolist() == [0.0, 1.0, 2.0]


class Around(torch.optim.Optimizer):
    """Uses another optimizer, which its `state_dict` does not include."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, {"lr": 0.1})
        self.base = torch.optim.Adam(self.param_groups, lr=0.1)
        self.param_groups = self.base.param_groups

    def step(self, closure: Any = None) -> Any:
        return self.base.step(closure)


def test_an_optimizer_within_an_optimizer_resumes() -> None:
    def advance(parameter: torch.nn.Parameter, optimizer: Around, scheduler: Any) -> None:
        parameter.grad = 2.0 * parameter.detach()
        optimizer.step()
        scheduler.step()

    def made() -> tuple[torch.nn.Parameter, Around, Any]:
        parameter = torch.nn.Parameter(torch.arange(1.0, 4.0))
        optimizer = Around([parameter])
        return parameter, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)

    whole, halves = made(), made()
    for _ in range(4):
        advance(*whole)
    for _ in range(2):
        advance(*halves)
    resumed = returned(halves, made())
    for _ in range(2):
        advance(*resumed)
    assert torch.equal(resumed[0], whole[0])
    assert resumed[1].base.param_groups is resumed[1].param_groups
