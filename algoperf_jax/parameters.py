"""Facts about parameter trees: paths, shapes, roles and counts."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from algoperf_jax.workload import ParameterType


@dataclasses.dataclass(frozen=True)
class ShapeTuple:
    """A shape as a leaf of a tree: `jax.tree.map` does not descend into it, as it would into a tuple."""

    shape_tuple: tuple[int, ...]


def shapes(params: Any) -> Any:
    """The shapes of `params` (arrays or abstract arrays), as a tree of `ShapeTuple`s."""
    return jax.tree.map(lambda leaf: ShapeTuple(tuple(leaf.shape)), params)


def abstract(shapes: Any) -> Any:
    """Converts a tree of `ShapeTuple`s to float32 `jax.ShapeDtypeStruct`s."""
    return jax.tree.map(lambda shape: jax.ShapeDtypeStruct(shape.shape_tuple, np.float32), shapes)


def count(params: Any) -> int:
    """Number of scalar parameters."""
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params))


def paths(params: Mapping[str, Any]) -> dict[str, Any]:
    """`{'Dense_0/kernel': leaf, ...}` in JAX's flattening order (sorted keys)."""
    flat, _ = jax.tree_util.tree_flatten_with_path(params)
    return {path_name(path): leaf for path, leaf in flat}


def path_name(path: Sequence[Any]) -> str:
    """Joins the names of a JAX tree path with `/`."""
    return jax.tree_util.keystr(tuple(path), simple=True, separator="/")


def types(params: Mapping[str, Any]) -> dict[str, Any]:
    """The role of each parameter, from its path.

    The result's keys are lower-cased at every level, as submissions written for the benchmark expect.

    Raises:
      ValueError: the benchmark's naming rules do not cover a path.
    """

    def walk(node: Any, parents: tuple[str, ...]) -> Any:
        if isinstance(node, Mapping):
            return {key.lower(): walk(child, (*parents, key.lower())) for key, child in node.items()}
        return type_of("/".join(parents))

    return walk(params, ())


_ATTENTION_KERNELS = (
    ("key", ParameterType.ATTENTION_K),
    ("query", ParameterType.ATTENTION_Q),
    ("value", ParameterType.ATTENTION_V),
    ("out", ParameterType.ATTENTION_OUT),
)


def type_of(path: str) -> ParameterType:
    """The role of the parameter at `path` (names joined by `/`). The first matching rule decides."""
    parent, _, leaf = path.lower().rpartition("/")
    if "batchnorm" in parent or "bn" in parent:
        return _scale_or_bias(path, leaf, ParameterType.BATCH_NORM_SCALE, ParameterType.BATCH_NORM_BIAS)
    if "layernorm" in parent or "ln" in parent:
        return _scale_or_bias(path, leaf, ParameterType.LAYER_NORM_SCALE, ParameterType.LAYER_NORM_BIAS)
    if "conv" in parent:
        return ParameterType.BIAS if "bias" in leaf else ParameterType.CONV_WEIGHT
    if "embedding" in leaf or ("embedding" in parent and leaf == "kernel"):
        return ParameterType.EMBEDDING
    if "attention" in parent:
        return _attention_type(path, parent, leaf)
    return ParameterType.BIAS if "bias" in leaf else ParameterType.WEIGHT


_JOINED = {
    (ParameterType.ATTENTION_K, ParameterType.ATTENTION_V): ParameterType.ATTENTION_KV,
    (ParameterType.ATTENTION_Q, ParameterType.ATTENTION_K, ParameterType.ATTENTION_V): ParameterType.ATTENTION_QKV,
}


def joined_type(paths: Sequence[str]) -> ParameterType:
    """The role of an array in which another framework keeps the parameters at `paths`.

    Raises:
      ValueError: parameters of these roles cannot share an array.
    """
    kinds = tuple(type_of(path) for path in paths)
    if len(set(kinds)) > 1 and kinds not in _JOINED:
        raise ValueError(f"parameters {', '.join(paths)}: no role covers all of {kinds}")
    return _JOINED.get(kinds, kinds[0])


def _scale_or_bias(path: str, leaf: str, scale: ParameterType, bias: ParameterType) -> ParameterType:
    if leaf == "scale":
        return scale
    if leaf == "bias":
        return bias
    raise ValueError(f"parameter {path}: a normalization layer holds only 'scale' and 'bias'")


def _attention_type(path: str, parent: str, leaf: str) -> ParameterType:
    if leaf == "bias":
        return ParameterType.ATTENTION_BIAS
    if leaf == "kernel":
        for name, kind in _ATTENTION_KERNELS:
            if name in parent:
                return kind
    if "scale" in leaf:
        return ParameterType.WEIGHT
    if "in_proj_weight" in leaf:
        return ParameterType.ATTENTION_QKV
    raise ValueError(f"parameter {path}: unknown part of an attention layer")
