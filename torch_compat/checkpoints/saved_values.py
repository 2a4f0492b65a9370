"""Packs and unpacks what a PyTorch submission keeps in its optimizer state, for checkpoints.

It extends `algoperf_jax.checkpoints.packing`: tensors that share memory still share it after a restore and are filled
in place, and objects with a `state_dict` load theirs.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from algoperf_jax.checkpoints.packing import ABSENT, CONSTANTS, Constants, Reader, Writer, cannot, differs
from algoperf_jax.errors import SubmissionError
from algoperf_jax.trial.backend import Packed

_CONSTANTS: Constants = {
    **CONSTANTS,
    torch.device: (str, torch.device),
    torch.dtype: (lambda value: str(value).removeprefix("torch."), lambda name: getattr(torch, name)),
    torch.Size: (list, torch.Size),
}


def pack(value: Any) -> Packed:
    """Packs a value into NumPy arrays and, as `values["skeleton"]`, a skeleton of everything else.

    Tensors, lists, dicts and objects that are referenced several times are saved once and restored as shared.

    Raises:
      SubmissionError: a `state_dict` raises.
    """
    writer = _TorchWriter()
    skeleton = writer.write(value, "")
    return Packed(writer.arrays, {"skeleton": skeleton})


def unpack(template: Any, packed: Packed) -> Any:
    """The inverse of `pack`.

    Args:
      template: a freshly made value. It must not be used if this raises an error.
      packed: what `pack` returned, or the same read from files. Arrays are removed from it as they are used.

    Raises:
      RunError: the template has another structure; the message names the place, such as
        `optimizer_state['ema']['decay']`.
    """
    return _TorchReader(packed.arrays).read(packed.values["skeleton"], template, "")


class _TorchWriter(Writer):
    constants = _CONSTANTS

    def __init__(self) -> None:
        super().__init__()
        self._in_memory: dict[Any, int] = {}  # address, shape and type of a tensor's elements -> its number

    def described(self, value: Any, name: str, number: int) -> dict[str, Any]:
        place = _place_in_memory(value)
        first = self._in_memory.setdefault(place, number) if place is not None else number
        if first != number:
            return {"kind": "same_memory", "as": first, "requires_grad": value.requires_grad}
        if isinstance(value, torch.Tensor):
            return self._tensor(value, name)
        if isinstance(value, torch.Generator):
            return {"kind": "generator", "state": self.write(value.get_state(), name)}
        if _is_stateful(value):
            groups = self._groups(value, name)
            state = self.write(_state_of(value), name)
            inner = {key: self.write(item, f"{name}.{key}") for key, item in _inner_optimizers(value).items()}
            parts = {"groups": groups, "state": state, "inner": inner}
            return {"kind": "stateful", "class": type(value).__qualname__, **parts}
        return super().described(value, name, number)

    def _groups(self, value: Any, name: str) -> list[list[Any]] | None:
        """The parameters of each group of an optimizer, which its `state_dict` only counts; None for other values."""
        if not isinstance(value, torch.optim.Optimizer):
            return None
        grouped = {id(parameter) for group in value.param_groups for parameter in group["params"]}
        for parameter in value.state:
            if isinstance(parameter, torch.Tensor) and id(parameter) not in grouped:
                raise SubmissionError(
                    f"the checkpoint cannot be written: {name.lstrip('.')} is a {type(value).__qualname__} that has "
                    f"state of a parameter of shape {tuple(parameter.shape)} in no group; its state_dict refuses that",
                    expected="state only of parameters in param_groups",
                    remedy="Delete it from the optimizer's `state` when the parameter leaves its group.",
                )
        return [
            [self.write(parameter, f"{name}.param_groups.{index}") for parameter in group["params"]]
            for index, group in enumerate(value.param_groups)
        ]

    def _tensor(self, tensor: torch.Tensor, name: str) -> dict[str, Any]:
        on_host = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
        try:
            array = on_host.numpy()
        except TypeError:  # NumPy lacks the type: save its bytes
            array = on_host.reshape(-1).view(torch.uint8).numpy()
        return {
            "kind": "tensor",
            "array": self.keep(array, name),
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "shape": list(tensor.shape),
            "requires_grad": tensor.requires_grad,
        }


class _TorchReader(Reader):
    constants = _CONSTANTS

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        super().__init__(arrays)
        self._filled: set[int] = set()

    def read(self, node: Any, template: Any, place: str) -> Any:
        kind = node["kind"] if isinstance(node, dict) else "plain value"
        if _is_stateful(template) and node is not None and kind not in ("stateful", "again"):
            raise differs(place, f"a {kind.replace('_', ' ')}", template)
        return super().read(node, template, place)

    def _generator(self, node: dict[str, Any], template: Any, place: str) -> Any:
        if not isinstance(template, torch.Generator):
            raise differs(place, "a torch.Generator", template)
        return template.set_state(self.read(node["state"], ABSENT, place))

    def _tensor(self, node: dict[str, Any], template: Any, place: str) -> torch.Tensor:
        dtype = getattr(torch, node["dtype"])
        value = torch.from_numpy(np.array(self.arrays.pop(node["array"]))).reshape(-1)
        value = (value if value.dtype == dtype else value.view(dtype)).reshape(node["shape"])
        if not isinstance(template, torch.Tensor):
            return value.requires_grad_(node["requires_grad"])  # its owner moves it to its device when loading it
        fits = template.shape == value.shape and template.dtype == dtype and template.is_leaf
        # An average may initially be the parameters themselves, and a separate tensor when it is saved.
        if not fits or id(template) in self._filled:
            return value.to(template.device).requires_grad_(node["requires_grad"])
        self._filled.add(id(template))
        template.data.copy_(value)
        return template.requires_grad_(node["requires_grad"])

    def _stateful(self, node: dict[str, Any], template: Any, place: str) -> Any:
        if not _is_stateful(template) or type(template).__qualname__ != node["class"]:
            raise differs(place, f"a {node['class']} with state_dict", template)
        inner = _inner_optimizers(template)
        if set(inner) != set(node["inner"]):
            raise differs(place, f"a {node['class']} with the optimizers {sorted(node['inner'])}", template)
        if node["groups"] is not None:
            self._regroup(node["groups"], template, place)
        # Loading gives each optimizer its own groups, but a learning rate set for one must remain that of the other.
        sharing = {key for key, optimizer in inner.items() if optimizer.param_groups is template.param_groups}
        # Read without a template: PyTorch's optimizers create their state when they first need it.
        state = self.read(node["state"], ABSENT, place)
        try:
            template.load_state_dict(state)
        except Exception as error:
            raise cannot(place, f"load_state_dict raised {type(error).__name__}: {error}") from error
        if isinstance(template, torch.optim.Optimizer) and "param_groups" in state:
            _undo_conversions(template, state)
        for key, optimizer in inner.items():
            self.read(node["inner"][key], optimizer, f"{place}.{key}")
            if key in sharing:
                optimizer.param_groups = template.param_groups
        return template

    def _regroup(self, groups: list[list[Any]], optimizer: torch.optim.Optimizer, place: str) -> None:
        """Gives each group the parameters that it had, because submissions may add, remove and change groups."""
        new = []
        for index, nodes in enumerate(groups):
            old = optimizer.param_groups[index] if index < len(optimizer.param_groups) else {}
            olds = list(old.get("params", ()))
            parameters = [
                self.read(node, olds[at] if at < len(olds) else ABSENT, f"{place}.param_groups[{index}]")
                for at, node in enumerate(nodes)
            ]
            # Everything else of a group is in the state that the optimizer loads.
            new.append(old | {"params": parameters} if [*map(id, olds)] != [*map(id, parameters)] else old)
        optimizer.param_groups[:] = new

    def _same_memory(self, node: dict[str, Any], template: Any, place: str) -> Any:
        del template, place
        return self.met[node["as"]].detach().requires_grad_(node["requires_grad"])


def _is_stateful(value: Any) -> bool:
    cls = type(value)
    return callable(getattr(cls, "state_dict", None)) and callable(getattr(cls, "load_state_dict", None))


def _inner_optimizers(value: Any) -> dict[str, torch.optim.Optimizer]:
    """The inner optimizers of an optimizer, whose state is not in its own `state_dict`."""
    if not isinstance(value, torch.optim.Optimizer):
        return {}
    return {key: item for key, item in vars(value).items() if isinstance(item, torch.optim.Optimizer)}


def _place_in_memory(value: Any) -> Any:
    """A key that is equal for tensors with the same elements in memory; None for other values."""
    if not isinstance(value, torch.Tensor) or value.layout != torch.strided or not value.numel():
        return None
    storage = value.untyped_storage()
    if not storage.data_ptr():
        return None
    form = (value.dtype, value.shape, value.stride(), value.is_conj(), value.is_neg())
    return value.device, storage.data_ptr(), value.storage_offset(), *form


def _state_of(value: Any) -> Any:
    try:
        return value.state_dict()
    except Exception as error:
        raise SubmissionError(
            f"the checkpoint cannot be written: state_dict of {type(value).__qualname__} raised "
            f"{type(error).__name__}: {error}",
            expected="a state_dict method that works after any step",
        ) from error


def _undo_conversions(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Restores an optimizer's tensors as saved: `load_state_dict` casts them to the type of their parameter."""
    for group, saved_group in zip(optimizer.param_groups, state["param_groups"], strict=True):
        for parameter, number in zip(group["params"], saved_group["params"], strict=True):
            for key, saved in state["state"].get(number, {}).items():
                loaded = optimizer.state[parameter][key]
                if isinstance(saved, torch.Tensor) and loaded.dtype != saved.dtype:
                    optimizer.state[parameter][key] = saved.to(loaded.device)
