"""Facts about parameter trees: paths, shapes, roles and counts."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from algoperf_jax.workload import ParameterType


@dataclasses.dataclass(frozen=True)
class ShapeTuple:
    """A shape as an opaque leaf, so that tree maps over a tree of shapes do not descend into the tuple."""

    shape_tuple: tuple[int, ...]


def shapes(params: Any) -> Any:
    """The tree of `ShapeTuple`s with the structure of `params` (arrays or abstract arrays)."""
    return jax.tree.map(lambda leaf: ShapeTuple(tuple(leaf.shape)), params)


def abstract(shapes: Any) -> Any:
    """The tree of abstract float32 arrays that a tree of `ShapeTuple`s tells the shapes of."""
    return jax.tree.map(lambda shape: jax.ShapeDtypeStruct(shape.shape_tuple, np.float32), shapes)


def count(params: Any) -> int:
    """Number of scalar parameters."""
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params))


def paths(params: Mapping[str, Any]) -> dict[str, Any]:
    """`{'Dense_0/kernel': leaf, ...}` in the order of JAX's flattening (sorted keys)."""
    flat, _ = jax.tree_util.tree_flatten_with_path(params)
    return {path_name(path): leaf for path, leaf in flat}


def path_name(path: Sequence[Any]) -> str:
    """The `/`-joined names of a path in a tree, as JAX gives it."""
    return jax.tree_util.keystr(tuple(path), simple=True, separator="/")


def types(params: Mapping[str, Any]) -> dict[str, Any]:
    """The role of each parameter, from its path.

    The keys of the result are lower-cased at every level, as submissions written for the benchmark expect.

    Raises:
      ValueError: a path that the benchmark's naming rules do not cover.
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
    """The role of the parameter at `path` (`/`-joined names). The first rule that matches decides."""
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
    """The role of the parameters at `paths` where another framework keeps them in one array.

    Raises:
      ValueError: parameters of these roles are not kept in one array.
    """
    kinds = tuple(type_of(path) for path in paths)
    if len(set(kinds)) > 1 and kinds not in _JOINED:
        raise ValueError(f"parameters {', '.join(paths)}: their roles {kinds} have none in common")
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
    raise ValueError(f"parameter {path}: no role is known for this part of an attention layer")
