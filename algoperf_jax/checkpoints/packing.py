"""Packs any value that a submission keeps in its state for checkpoints, and unpacks it.

A value becomes a skeleton, which JSON represents exactly, and named arrays. Unpacking needs a newly made value, the
template. Code is not saved, so functions, classes and other things without state come from the template. Lists, dicts
and objects are filled in place, because closures may hold them. A saved container may differ from the template's in
size and content; the saved one counts. Each framework adds its own kinds of values.
"""

import collections
import enum
import functools
import importlib
import random
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from algoperf_jax.checkpoints import random_states
from algoperf_jax.errors import RunError

ABSENT: Any = object()
"""Marks a missing template, as None is a value too."""
Constants = Mapping[type, tuple[Callable[[Any], Any], Callable[[Any], Any]]]
"""Immutable values written as text or numbers: class -> (write, read)."""
CONSTANTS: Constants = {
    bytes: (bytes.hex, bytes.fromhex),
    complex: (lambda value: [value.real, value.imag], lambda parts: complex(*parts)),
}

_PLAIN = (type(None), bool, int, float, str)
_SEQUENCES: dict[str, type] = {cls.__name__: cls for cls in (list, tuple, set, frozenset, collections.deque)}
_MAPPINGS: dict[str, type] = {cls.__name__: cls for cls in (dict, collections.OrderedDict, collections.defaultdict)}
_CODE = (type, types.FunctionType, types.MethodType, types.BuiltinFunctionType, types.ModuleType, functools.partial)
_SURROUNDINGS = ("_thread", "algoperf_jax", "jax", "jaxlib", "logging", "threading", "torch", "workloads")
"""Libraries whose objects are handles: the workload, streams, process groups, loggers."""


class Writer:
    """Packs one value; a framework adds its own kinds of values in `described`."""

    constants = CONSTANTS

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self._met: dict[int, int] = {}
        self._alive: list[Any] = []  # keeps ids unique: they are reused when an object dies

    def write(self, value: Any, name: str) -> Any:
        """Packs a value; returns its node in the skeleton, which JSON can represent."""
        if type(value) in _PLAIN:
            return value
        if id(value) in self._met:
            return {"kind": "again", "number": self._met[id(value)]}
        node: dict[str, Any] = {"number": len(self._alive)}
        self._met[id(value)] = node["number"]
        self._alive.append(value)
        return node | self.described(value, name, node["number"])

    def described(self, value: Any, name: str, number: int) -> dict[str, Any]:
        """The node of a value seen for the first time; `kind` names the method of `Reader` that reads it."""
        del number
        cls: Any = type(value)
        if cls in self.constants:
            return {"kind": "constant", "class": cls.__name__, "value": self.constants[cls][0](value)}
        if isinstance(value, enum.Enum):
            return {"kind": "enum", "class": reference(cls), "value": value.name}
        if isinstance(value, np.ndarray | np.generic):
            return self._array(value, name)
        if isinstance(value, np.random.Generator | np.random.RandomState):
            state = _state_of_generator(value)
            return {"kind": "numpy_generator", "class": cls.__name__, "state": self.write(state, name)}
        if cls is random.Random:
            return {"kind": "python_generator", "state": self.write(random_states.of_python(value.getstate()), name)}
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return {"kind": "named_tuple", "class": reference(cls), "items": self._items(_fields(value), name)}
        if cls in _SEQUENCES.values():
            items = [self.write(item, f"{name}.{index}") for index, item in enumerate(value)]
            extra = {"longest": value.maxlen} if isinstance(value, collections.deque) else {}
            return {"kind": "sequence", "class": cls.__name__, "items": items, **extra}
        if cls in _MAPPINGS.values():
            return {"kind": "mapping", "class": cls.__name__, "items": self._items(dict(value), name)}
        if hasattr(value, "__dict__") and not is_code(value, cls):
            return {"kind": "object", "class": reference(cls), "items": self._items(vars(value), name)}
        return {"kind": "code", "class": cls.__qualname__}

    def _items(self, mapping: Mapping[Any, Any], name: str) -> list[list[Any]]:
        return [[self.write(key, name), self.write(item, f"{name}.{key}")] for key, item in mapping.items()]

    def _array(self, array: np.ndarray | np.generic, name: str) -> dict[str, Any]:
        if array.dtype.kind in "OSU":  # object and text types, which checkpoints cannot hold
            values = np.asarray(array).ravel().tolist()
            items = [self.write(item, f"{name}.{index}") for index, item in enumerate(values)]
            node = {"kind": "items_of_array", "dtype": array.dtype.str, "shape": list(array.shape), "items": items}
            return {**node, "scalar": isinstance(array, np.generic)}
        return {"kind": "array", "array": self.keep(np.asarray(array), name), "scalar": isinstance(array, np.generic)}

    def keep(self, array: Any, name: str) -> str:
        """Adds an array; returns its unique name."""
        self.arrays[name := self._unique(name)] = array
        return name

    def _unique(self, name: str) -> str:
        readable = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)[-100:]
        return f"{len(self.arrays):05d}.{readable.strip('.')}"


class Reader:
    """Unpacks one value; a framework adds a method for each kind of value that its writer adds."""

    constants = CONSTANTS

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays = arrays
        self.met: dict[int, Any] = {}

    def read(self, node: Any, template: Any, place: str) -> Any:
        """Unpacks the value of a node; `template` is the value at `place` in a newly made state, or ABSENT."""
        if not isinstance(node, dict):
            return node
        if node["kind"] == "again":
            return self.met[node["number"]]
        return self._remember(node, getattr(self, f"_{node['kind']}")(node, template, place))

    def _remember(self, node: dict[str, Any], value: Any) -> Any:
        """Must be called before the parts of a value are read, because these may refer to it."""
        self.met[node["number"]] = value
        return value

    def _constant(self, node: dict[str, Any], template: Any, place: str) -> Any:
        cls = next(cls for cls in self.constants if cls.__name__ == node["class"])
        return self.constants[cls][1](node["value"])

    def _enum(self, node: dict[str, Any], template: Any, place: str) -> Any:
        module, _, name = node["class"].partition(":")
        cls: Any = type(template) if reference(type(template)) == node["class"] else _imported(module, name)
        if cls is None or node["value"] not in cls.__members__:
            raise differs(place, f"{name}.{node['value']}", template)
        return cls[node["value"]]

    def _array(self, node: dict[str, Any], template: Any, place: str) -> Any:
        array = np.array(self.arrays.pop(node["array"]))
        return array[()] if node["scalar"] else array

    def _items_of_array(self, node: dict[str, Any], template: Any, place: str) -> Any:
        items = np.empty(len(node["items"]), object)
        items[:] = [self.read(item, ABSENT, f"{place}[{index}]") for index, item in enumerate(node["items"])]
        array = items.reshape(node["shape"]).astype(node["dtype"])
        return array[()] if node["scalar"] else array

    def _numpy_generator(self, node: dict[str, Any], template: Any, place: str) -> Any:
        state = self.read(node["state"], ABSENT, place)
        if type(template).__name__ != node["class"]:
            bits = getattr(np.random, state["bit_generator"])()
            template = np.random.RandomState(bits) if node["class"] == "RandomState" else np.random.Generator(bits)
        if node["class"] == "RandomState":
            template.set_state(state)
        else:
            template.bit_generator.state = state
        return template

    def _python_generator(self, node: dict[str, Any], template: Any, place: str) -> Any:
        found = template if type(template) is random.Random else random.Random()
        found.setstate(random_states.for_python(self.read(node["state"], ABSENT, place)))
        return found

    def _named_tuple(self, node: dict[str, Any], template: Any, place: str) -> Any:
        fields = [field for field, _ in node["items"]]
        place = f"{place}." if place else ""
        fits = isinstance(template, tuple) and list(getattr(template, "_fields", ())) == fields
        cls: Any = type(template) if fits else _class_of(node["class"])
        if list(getattr(cls, "_fields", ())) != fields:
            cls = collections.namedtuple(node["class"].rpartition(":")[2].rpartition(".")[2], fields)
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
            raise differs(place, "a defaultdict, whose factory is not saved", template)
        target = self._remember(node, template if fits else cls())
        self._fill(node, target, dict(template) if fits else {}, lambda key: f"{place}[{key!r}]")
        return target

    def _object(self, node: dict[str, Any], template: Any, place: str) -> Any:
        if reference(type(template)) != node["class"]:
            cls = _class_of(node["class"])
            if cls is None:
                raise differs(place, f"a {node['class']}", template)
            template = cls.__new__(cls)
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
            raise differs(place, f"a {node['class']}, which is not saved", template)
        return template


def _fields(named_tuple: Any) -> dict[str, Any]:
    return named_tuple._asdict()


def is_code(value: Any, cls: type, *, iterators: bool = True) -> bool:
    """Whether a value is code, or a handle to something outside the training state, such as an iterator."""
    # A plain `object()` is a sentinel without state.
    surroundings = cls.__module__.partition(".")[0] in _SURROUNDINGS
    return surroundings or cls is object or isinstance(value, _CODE) or (iterators and hasattr(cls, "__next__"))


def reference(cls: type) -> str:
    """The name `<module>:<qualified name>` of a class."""
    return f"{cls.__module__}:{cls.__qualname__}"


def _class_of(reference: str) -> Any:
    """The class that a reference names, or None if it cannot be found."""
    module, _, name = reference.partition(":")
    return _imported(module, name)


def _state_of_generator(generator: np.random.Generator | np.random.RandomState) -> Any:
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.get_state(legacy=False)


def _imported(module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None


def differs(place: str, saved: str, template: Any) -> RunError:
    """The error about a place whose saved value does not match the template."""
    new = "nothing" if template is ABSENT else f"a {type(template).__qualname__}"
    return cannot(place, f"the checkpoint needs {saved}, but a newly made state has {new} there")


def cannot(place: str, problem: str) -> RunError:
    """The error about a place that cannot be unpacked."""
    return RunError(
        f"checkpoint: {place}: {problem}",
        expected="a submission whose state keeps the structure from init_optimizer_state",
        remedy="If the submission has changed, start over with --config.overwrite=True.",
    )
