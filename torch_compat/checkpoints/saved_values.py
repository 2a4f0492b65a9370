"""What a PyTorch submission keeps in its optimizer state, packed for a checkpoint and unpacked.

A value becomes a skeleton, which JSON keeps exactly, and named arrays. Unpacking it takes a newly made value, the
template: code is not saved, so functions, classes and whatever else has no state come from there, objects with a
`state_dict` load theirs, and what closures may hold (lists, dicts, tensors, objects) is filled in place.
"""

import collections
import enum
import functools
import importlib
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from algoperf_jax.errors import RunError, SubmissionError
from algoperf_jax.trial.backend import Packed

ABSENT: Any = object()
"""Stands for the template where there is none; None is a value like others."""

_PLAIN = (type(None), bool, int, float, str)
_SEQUENCES: dict[str, type] = {cls.__name__: cls for cls in (list, tuple, set, frozenset, collections.deque)}
_MAPPINGS: dict[str, type] = {cls.__name__: cls for cls in (dict, collections.OrderedDict, collections.defaultdict)}
# Small values that are made again from a text or numbers: class -> (what is written, how it is read).
_CONSTANTS: dict[type, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    bytes: (bytes.hex, bytes.fromhex),
    complex: (lambda value: [value.real, value.imag], lambda parts: complex(*parts)),
    torch.device: (str, torch.device),
    torch.dtype: (lambda value: str(value).removeprefix("torch."), lambda name: getattr(torch, name)),
    torch.Size: (list, torch.Size),
}
_CODE = (type, types.FunctionType, types.MethodType, types.BuiltinFunctionType, types.ModuleType, functools.partial)
_SURROUNDINGS = ("algoperf_jax", "jax", "jaxlib", "logging", "threading", "torch", "workloads")
"""Libraries whose objects are handles: the workload, streams, process groups, loggers."""


def pack(value: Any) -> Packed:
    """Packs a value: arrays of NumPy, and a skeleton of all else as `values["skeleton"]`.

    A tensor, list, dict or object that is met again is saved once and stays one.

    Raises:
      SubmissionError: a `state_dict` raises.
    """
    writer = _Writer()
    skeleton = writer.write(value, "")
    return Packed(writer.arrays, {"skeleton": skeleton})


def unpack(template: Any, packed: Packed) -> Any:
    """The inverse of `pack`.

    Args:
      template: the value as it is newly made. It must not be used if this raises an error.
      packed: what `pack` returned, or the same read from files. Arrays are dropped from it as they are used.

    Raises:
      RunError: the template's structure is another one; the message names the place, such as
        `optimizer_state['ema']['decay']`.
    """
    return _Reader(packed.arrays).read(packed.values["skeleton"], template, "")


class _Writer:
    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self._met: dict[int, int] = {}
        self._in_memory: dict[Any, int] = {}  # place, shape and type of a tensor's elements -> its number
        self._alive: list[Any] = []  # an id is one object's only while that lives

    def write(self, value: Any, name: str) -> Any:
        if type(value) in _PLAIN:
            return value
        if id(value) in self._met:
            return {"kind": "again", "number": self._met[id(value)]}
        node: dict[str, Any] = {"number": len(self._alive)}
        self._met[id(value)] = node["number"]
        self._alive.append(value)
        place = _place_in_memory(value)
        first = self._in_memory.setdefault(place, node["number"]) if place is not None else node["number"]
        if first != node["number"]:
            return node | {"kind": "same_memory", "as": first, "requires_grad": value.requires_grad}
        return node | self._described(value, name)

    def _described(self, value: Any, name: str) -> dict[str, Any]:
        cls: Any = type(value)
        if cls in _CONSTANTS:
            return {"kind": "constant", "class": cls.__name__, "value": _CONSTANTS[cls][0](value)}
        if isinstance(value, enum.Enum):
            return {"kind": "enum", "class": _reference(cls), "value": value.name}
        if isinstance(value, torch.Tensor):
            return self._tensor(value, name)
        if isinstance(value, np.ndarray | np.generic):
            self.arrays[name := self._unique(name)] = np.asarray(value)
            return {"kind": "array", "array": name, "scalar": isinstance(value, np.generic)}
        if isinstance(value, torch.Generator):
            return {"kind": "generator", "state": self.write(value.get_state(), name)}
        if _is_stateful(value):
            state = self.write(_state_of(value), name)
            inner = {key: self.write(item, f"{name}.{key}") for key, item in _inner_optimizers(value).items()}
            return {"kind": "stateful", "class": cls.__qualname__, "state": state, "inner": inner}
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return {"kind": "named_tuple", "class": cls.__name__, "items": self._items(_fields(value), name)}
        if cls in _SEQUENCES.values():
            items = [self.write(item, f"{name}.{index}") for index, item in enumerate(value)]
            extra = {"longest": value.maxlen} if isinstance(value, collections.deque) else {}
            return {"kind": "sequence", "class": cls.__name__, "items": items, **extra}
        if cls in _MAPPINGS.values():
            return {"kind": "mapping", "class": cls.__name__, "items": self._items(dict(value), name)}
        if hasattr(value, "__dict__") and not _is_code(value, cls):
            return {"kind": "object", "class": cls.__qualname__, "items": self._items(vars(value), name)}
        return {"kind": "code", "class": cls.__qualname__}

    def _items(self, mapping: Mapping[Any, Any], name: str) -> list[list[Any]]:
        return [[self.write(key, name), self.write(item, f"{name}.{key}")] for key, item in mapping.items()]

    def _tensor(self, tensor: torch.Tensor, name: str) -> dict[str, Any]:
        on_host = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
        try:
            array = on_host.numpy()
        except TypeError:  # NumPy lacks the type: its bytes will do
            array = on_host.reshape(-1).view(torch.uint8).numpy()
        self.arrays[name := self._unique(name)] = array
        return {
            "kind": "tensor",
            "array": name,
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "shape": list(tensor.shape),
            "requires_grad": tensor.requires_grad,
        }

    def _unique(self, name: str) -> str:
        readable = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)[-100:]
        return f"{len(self.arrays):05d}.{readable.strip('.')}"


class _Reader:
    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self._arrays = arrays
        self._filled: set[int] = set()
        self._met: dict[int, Any] = {}

    def read(self, node: Any, template: Any, place: str) -> Any:
        kind = node["kind"] if isinstance(node, dict) else "plain value"
        if _is_stateful(template) and node is not None and kind not in ("stateful", "again"):
            raise _differs(place, f"a {kind.replace('_', ' ')}", template)
        if not isinstance(node, dict):
            return node
        if kind == "again":
            return self._met[node["number"]]
        return self._remember(node, getattr(self, f"_{node['kind']}")(node, template, place))

    def _remember(self, node: dict[str, Any], value: Any) -> Any:
        """To be called before the parts of a value are read, for these may refer to it."""
        self._met[node["number"]] = value
        return value

    def _constant(self, node: dict[str, Any], template: Any, place: str) -> Any:
        cls = next(cls for cls in _CONSTANTS if cls.__name__ == node["class"])
        return _CONSTANTS[cls][1](node["value"])

    def _enum(self, node: dict[str, Any], template: Any, place: str) -> Any:
        module, _, name = node["class"].partition(":")
        cls: Any = type(template) if _reference(type(template)) == node["class"] else _imported(module, name)
        if cls is None or node["value"] not in cls.__members__:
            raise _differs(place, f"{name}.{node['value']}", template)
        return cls[node["value"]]

    def _array(self, node: dict[str, Any], template: Any, place: str) -> Any:
        array = np.array(self._arrays.pop(node["array"]))
        return array[()] if node["scalar"] else array

    def _generator(self, node: dict[str, Any], template: Any, place: str) -> Any:
        if not isinstance(template, torch.Generator):
            raise _differs(place, "a torch.Generator", template)
        return template.set_state(self.read(node["state"], ABSENT, place))

    def _tensor(self, node: dict[str, Any], template: Any, place: str) -> torch.Tensor:
        dtype = getattr(torch, node["dtype"])
        value = torch.from_numpy(np.array(self._arrays.pop(node["array"]))).reshape(-1)
        value = (value if value.dtype == dtype else value.view(dtype)).reshape(node["shape"])
        if not isinstance(template, torch.Tensor):
            return value.requires_grad_(node["requires_grad"])  # whoever loads it moves it to its device
        fits = template.shape == value.shape and template.dtype == dtype and template.is_leaf
        # An average may begin as the very parameters and be something else when it is saved.
        if not fits or id(template) in self._filled:
            return value.to(template.device).requires_grad_(node["requires_grad"])
        self._filled.add(id(template))
        template.data.copy_(value)
        return template.requires_grad_(node["requires_grad"])

    def _stateful(self, node: dict[str, Any], template: Any, place: str) -> Any:
        if not _is_stateful(template) or type(template).__qualname__ != node["class"]:
            raise _differs(place, f"a {node['class']} with state_dict", template)
        inner = _inner_optimizers(template)
        if set(inner) != set(node["inner"]):
            raise _differs(place, f"a {node['class']} with the optimizers {sorted(node['inner'])}", template)
        # Loading gives each its own groups; a learning rate that is set for one shall stay that of the other.
        sharing = {key for key, optimizer in inner.items() if optimizer.param_groups is template.param_groups}
        # Read without a template: PyTorch's optimizers make their state when they first need it.
        state = self.read(node["state"], ABSENT, place)
        try:
            template.load_state_dict(state)
        except Exception as error:
            raise _cannot(place, f"load_state_dict raised {type(error).__name__}: {error}") from error
        if isinstance(template, torch.optim.Optimizer) and "param_groups" in state:
            _undo_conversions(template, state)
        for key, optimizer in inner.items():
            self.read(node["inner"][key], optimizer, f"{place}.{key}")
            if key in sharing:
                optimizer.param_groups = template.param_groups
        return template

    def _same_memory(self, node: dict[str, Any], template: Any, place: str) -> Any:
        del template, place
        return self._met[node["as"]].detach().requires_grad_(node["requires_grad"])

    def _named_tuple(self, node: dict[str, Any], template: Any, place: str) -> Any:
        fields = [field for field, _ in node["items"]]
        place = f"{place}." if place else ""
        fits = isinstance(template, tuple) and list(getattr(template, "_fields", ())) == fields
        cls: Any = type(template) if fits else collections.namedtuple(node["class"], fields)
        olds = _fields(template) if fits else {}
        return cls(*(self.read(item, olds.get(key, ABSENT), f"{place}{key}") for key, item in node["items"]))

    def _sequence(self, node: dict[str, Any], template: Any, place: str) -> Any:
        cls = _SEQUENCES[node["class"]]
        fits = type(template) is cls
        olds = list(template) if fits and cls not in (set, frozenset) else []
        if issubclass(cls, list | collections.deque):
            maxlen = {"maxlen": node["longest"]} if issubclass(cls, collections.deque) else {}
            target = self._remember(node, template if fits else cls(**maxlen))
            items = self._in_order(node, olds, place)
            target.clear()
            target.extend(items)
            return target
        return cls(self._in_order(node, olds, place))

    def _in_order(self, node: dict[str, Any], olds: list[Any], place: str) -> list[Any]:
        return [
            self.read(item, olds[index] if index < len(olds) else ABSENT, f"{place}[{index}]")
            for index, item in enumerate(node["items"])
        ]

    def _mapping(self, node: dict[str, Any], template: Any, place: str) -> Any:
        cls = _MAPPINGS[node["class"]]
        fits = type(template) is cls
        if not fits and cls is collections.defaultdict:
            raise _differs(place, "a defaultdict, whose factory is not saved", template)
        target = self._remember(node, template if fits else cls())
        self._fill(node, target, dict(template) if fits else {}, lambda key: f"{place}[{key!r}]")
        return target

    def _object(self, node: dict[str, Any], template: Any, place: str) -> Any:
        if type(template).__qualname__ != node["class"]:
            raise _differs(place, f"a {node['class']}", template)
        self._remember(node, template)
        self._fill(node, template.__dict__, dict(template.__dict__), lambda key: f"{place}.{key}")
        return template

    def _fill(
        self, node: dict[str, Any], target: dict[Any, Any], olds: Mapping[Any, Any], place: Callable[[Any], str]
    ) -> None:
        items = {}
        for key_node, item in node["items"]:
            key = self.read(key_node, ABSENT, place("key"))
            items[key] = self.read(item, olds.get(key, ABSENT), place(key))
        target.clear()
        target.update(items)

    def _code(self, node: dict[str, Any], template: Any, place: str) -> Any:
        if template is ABSENT:
            raise _differs(place, f"a {node['class']}, which is not saved", template)
        return template


def _is_stateful(value: Any) -> bool:
    cls = type(value)
    return callable(getattr(cls, "state_dict", None)) and callable(getattr(cls, "load_state_dict", None))


def _inner_optimizers(value: Any) -> dict[str, torch.optim.Optimizer]:
    """The optimizers that an optimizer works with, whose state its own `state_dict` does not have."""
    if not isinstance(value, torch.optim.Optimizer):
        return {}
    return {key: item for key, item in vars(value).items() if isinstance(item, torch.optim.Optimizer)}


def _place_in_memory(value: Any) -> Any:
    """What two tensors have in common that are one in memory; None for what is not such a tensor."""
    if not isinstance(value, torch.Tensor) or value.layout != torch.strided or not value.numel():
        return None
    storage = value.untyped_storage()
    if not storage.data_ptr():
        return None
    form = (value.dtype, value.shape, value.stride(), value.is_conj(), value.is_neg())
    return value.device, storage.data_ptr(), value.storage_offset(), *form


def _fields(named_tuple: Any) -> dict[str, Any]:
    return named_tuple._asdict()


def _state_of(value: Any) -> Any:
    try:
        return value.state_dict()
    except Exception as error:
        raise SubmissionError(
            f"the checkpoint cannot be written: state_dict of {type(value).__qualname__} raised "
            f"{type(error).__name__}: {error}",
            expected="a state_dict that can be called after any step",
        ) from error


def _is_code(value: Any, cls: type) -> bool:
    """Whether a value is code, or a handle on something outside the state of a training."""
    surroundings = cls.__module__.partition(".")[0] in _SURROUNDINGS
    return surroundings or isinstance(value, _CODE) or hasattr(cls, "__next__")


def _undo_conversions(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Gives an optimizer the tensors that were saved, which `load_state_dict` casts to the type of their parameter."""
    for group, saved_group in zip(optimizer.param_groups, state["param_groups"], strict=True):
        for parameter, number in zip(group["params"], saved_group["params"], strict=True):
            for key, saved in state["state"].get(number, {}).items():
                loaded = optimizer.state[parameter][key]
                if isinstance(saved, torch.Tensor) and loaded.dtype != saved.dtype:
                    optimizer.state[parameter][key] = saved.to(loaded.device)


def _reference(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _imported(module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None


def _differs(place: str, saved: str, template: Any) -> RunError:
    new = "nothing" if template is ABSENT else f"a {type(template).__qualname__}"
    return _cannot(place, f"saved was {saved}, and a newly made state has {new} there")


def _cannot(place: str, problem: str) -> RunError:
    return RunError(
        f"checkpoint: {place}: {problem}",
        expected="a submission whose state keeps the structure that init_optimizer_state gives it",
        remedy="If the submission was changed, start afresh with --config.overwrite=True.",
    )
