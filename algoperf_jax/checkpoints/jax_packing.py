"""What a JAX submission works on, packed for a checkpoint and unpacked: `packing`, with JAX's arrays and trees."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from algoperf_jax.checkpoints.packing import Reader, Writer, differs, is_code, reference
from algoperf_jax.errors import SubmissionError
from algoperf_jax.trial.backend import Packed

Put = Callable[[Any, Any], jax.Array]
"""`(array, the one in its place in a newly made state or None) -> array` on the devices."""


def pack(value: Any) -> Packed:
    """Packs a value: arrays of JAX and NumPy, and a skeleton of all else as `values["skeleton"]`.

    Raises:
      SubmissionError: it has something whose state cannot be saved; the message names the place.
    """
    writer = _JaxWriter()
    skeleton = writer.write(value, "")
    return Packed(writer.arrays, {"skeleton": skeleton})


def unpack(template: Any, packed: Packed, put: Put) -> Any:
    """The inverse of `pack`.

    Args:
      template: the value as it is newly made.
      packed: what `pack` returned, or the same read from files. Arrays are dropped from it as they are used.
      put: places arrays of JAX.

    Raises:
      RunError: the template's structure is another one; the message names the place.
    """
    return _JaxReader(packed.arrays, put).read(packed.values["skeleton"], template, "")


class _JaxWriter(Writer):
    def described(self, value: Any, name: str, number: int) -> dict[str, Any]:
        if isinstance(value, jax.Array):
            if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
                data, key = jax.random.key_data(value), str(jax.random.key_impl(value))
                return {"kind": "jax_array", "array": self.keep(data, name), "key": key}
            return {"kind": "jax_array", "array": self.keep(value, name), "key": None}
        if _is_other_tree(value):
            items = [self.write(item, f"{name}.{index}") for index, item in enumerate(_children(value)[0])]
            return {"kind": "tree", "class": reference(type(value)), "items": items}
        node = super().described(value, name, number)
        if node["kind"] == "code" and not is_code(value, type(value), iterators=False):
            raise SubmissionError(
                f"the checkpoint cannot be written: {name.lstrip('.')} is a {type(value).__qualname__}, whose state "
                "cannot be saved",
                expected="arrays, numbers, text, containers, and objects with attributes of these kinds",
                remedy="Keep what it counts in the optimizer state, and make it from that.",
            )
        return node


class _JaxReader(Reader):
    def __init__(self, arrays: dict[str, Any], put: Put) -> None:
        super().__init__(arrays)
        self._put = put

    def _jax_array(self, node: dict[str, Any], template: Any, place: str) -> jax.Array:
        array, old = self.arrays.pop(node["array"]), template if isinstance(template, jax.Array) else None
        if node["key"] is not None:
            return jax.random.wrap_key_data(jnp.asarray(np.asarray(array)), impl=node["key"])
        return self._put(array, old)

    def _tree(self, node: dict[str, Any], template: Any, place: str) -> Any:
        if reference(type(template)) != node["class"]:
            raise differs(place, f"a {node['class'].rpartition(':')[2]}", template)
        olds, structure = _children(template)
        if len(olds) != len(node["items"]):
            raise differs(place, f"one with {len(node['items'])} parts", template)
        items = zip(node["items"], olds, strict=True)
        return structure.unflatten([self.read(item, old, f"{place}[{i}]") for i, (item, old) in enumerate(items)])


def _is_other_tree(value: Any) -> bool:
    """Whether JAX knows a value as a tree that is neither a container of Python nor a dataclass."""
    if value is None or isinstance(value, list | tuple | dict) or dataclasses.is_dataclass(value):
        return False
    return jax.tree_util.all_leaves([value]) is False


def _children(tree: Any) -> tuple[list[Any], Any]:
    return jax.tree.flatten(tree, is_leaf=lambda node: node is not tree)
