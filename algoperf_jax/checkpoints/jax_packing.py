"""Packs the state of a JAX submission for checkpoints: `packing`, extended by JAX's arrays and trees."""

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
"""`(array, template) -> array` on the devices; the template is that array in a newly made state, or None."""


def pack(value: Any) -> Packed:
    """Packs a value into its JAX and NumPy arrays, and a skeleton of everything else in `values["skeleton"]`.

    Raises:
      SubmissionError: the state of some part cannot be saved; the message names the place.
    """
    writer = _JaxWriter()
    skeleton = writer.write(value, "")
    return Packed(writer.arrays, {"skeleton": skeleton})


def unpack(template: Any, packed: Packed, put: Put) -> Any:
    """The inverse of `pack`.

    Args:
      template: the same value, newly made.
      packed: the result of `pack`, or the same read from files. Arrays are removed from it as they are used.
      put: puts JAX arrays on the devices.

    Returns:
      The value with the content of `packed`.

    Raises:
      RunError: the template's structure differs; the message names the place.
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
                remedy="Keep its state in the optimizer state as one of these, and make the object from that.",
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
    """Whether a value is a JAX tree other than a Python container or dataclass."""
    if value is None or isinstance(value, list | tuple | dict) or dataclasses.is_dataclass(value):
        return False
    return jax.tree_util.all_leaves([value]) is False


def _children(tree: Any) -> tuple[list[Any], Any]:
    return jax.tree.flatten(tree, is_leaf=lambda node: node is not tree)
