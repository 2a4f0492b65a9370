"""Moves parameters and running statistics between the JAX trees and a PyTorch module, in a few buffers of bounded size.

A transfer costs tens of microseconds per array, regardless of its size, so hundreds of small arrays cross as one:
joined on one side, then split and permuted on the other inside a compiled function. An array larger than such a buffer
crosses alone, and without a buffer if both frameworks store its elements in the same order: an embedding table of
gigabytes is then copied once in each direction, into its final memory.
"""

import dataclasses
import gc
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import torch

from algoperf_jax import parameters
from algoperf_jax.errors import SubmissionError
from algoperf_jax.workload import ModelState, Parameters
from torch_compat.transfer.crossing import hand_to_jax, hand_to_torch
from torch_compat.transfer.torch_model import Joined, Leaf

GROUP_BYTES = 128 * 2**20
"""Arrays cross together up to this number of bytes; most models cross as a whole."""

Entry = tuple[str, Leaf | Joined]
"""Name of a tensor in the module, and its place in the JAX trees."""


class ParameterTransfer:
    """Moves the values of one model in both directions; a round trip is the identity, bit for bit.

    Args:
      parameter_leaves: name in the module -> place in the JAX parameters.
      buffer_leaves: name in the module -> place in the JAX model state.
      abstract: shapes of the JAX parameters and model state.
      group_bytes: limit on the bytes of arrays that cross together.

    Raises:
      ValueError: the tensors do not hold every row of every array exactly once.
    """

    def __init__(
        self,
        parameter_leaves: Mapping[str, Leaf | Joined],
        buffer_leaves: Mapping[str, Leaf],
        abstract: tuple[Any, Any],
        *,
        group_bytes: int = GROUP_BYTES,
    ) -> None:
        self._structure = jax.tree.structure(abstract)
        shapes = {path: tuple(leaf.shape) for tree in abstract for path, leaf in parameters.paths(tree or {}).items()}
        self._paths = list(shapes)
        entries: list[Entry] = [*parameter_leaves.items(), *buffer_leaves.items()]
        _check_one_to_one(entries, shapes)
        self._torch_shapes = {name: _torch_shape(leaf, shapes) for name, leaf in entries}
        self.parameter_shapes = {name: self._torch_shapes[name] for name in parameter_leaves}
        self._groups = [_Group.of(group, shapes) for group in _grouped(entries, shapes, group_bytes)]

    @torch.no_grad()
    def to_module(self, params: Parameters, model_state: ModelState, module: torch.nn.Module) -> None:
        """Copies the values of JAX arrays into the module's tensors, which keep their memory."""
        tensors = self._tensors(module)
        arrays = dict(zip(self._paths, jax.tree.leaves((params, model_state)), strict=True))
        for group in self._groups:
            targets = [tensors[name] for name in group.names]
            flat = group.to_torch({path: arrays[path] for path in group.shapes}, targets[0].device)
            for tensor, piece in zip(targets, flat.split([tensor.numel() for tensor in targets]), strict=True):
                tensor.copy_(piece.view(tensor.shape))
            if flat.is_cuda:
                torch.cuda.synchronize(flat.device)  # JAX may reuse the memory as soon as it is released
            del flat, piece
            # JAX lets go of an array that PyTorch no longer uses only then: an embedding table would stay in memory.
            gc.collect(0)

    @torch.no_grad()
    def from_module(self, module: torch.nn.Module, function: str) -> tuple[Parameters, ModelState]:
        """Parameters and model state as JAX arrays in their own memory; the module is only read.

        Raises:
          SubmissionError: the module's parameters are not those of the model; the message begins with `function`.
        """
        tensors = self._tensors(module, function)
        arrays: dict[str, jax.Array] = {}
        for group in self._groups:
            flat = torch.cat([tensors[name].reshape(-1) for name in group.names])
            # Wait, so that one buffer is free before the next is allocated.
            arrays |= jax.block_until_ready(group.to_jax(flat))
        return jax.tree.unflatten(self._structure, [arrays[path] for path in self._paths])

    def _tensors(self, module: torch.nn.Module, function: str = "") -> dict[str, torch.Tensor]:
        found = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        for name, shape in self._torch_shapes.items():
            tensor = found.get(name)
            if tensor is None or tensor.shape != shape or tensor.dtype != torch.float32:
                have = "none" if tensor is None else f"{tuple(tensor.shape)} of {tensor.dtype}"
                raise SubmissionError(
                    f"{function} left the module with another {name}: {have}", expected=f"{shape} of torch.float32"
                )
        return found


@dataclasses.dataclass(frozen=True)
class _Group:
    """Tensors and arrays that cross together.

    Attributes:
      names: names of the tensors, in the order of the flat buffer.
      shapes: path -> shape of the JAX arrays.
      to_torch: `(arrays by path, device) -> flat tensor`, which must only be read.
      to_jax: `flat tensor -> arrays by path`; the tensor must not be used afterwards.
    """

    names: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]
    to_torch: Callable[[Mapping[str, Any], torch.device], torch.Tensor]
    to_jax: Callable[[torch.Tensor], dict[str, jax.Array]]

    @classmethod
    def of(cls, entries: Sequence[Entry], shapes: Mapping[str, tuple[int, ...]]) -> "_Group":
        # A joined tensor is the concatenation of its parts, so the flat buffer need only distinguish the parts.
        parts = [part for _, leaf in entries for part in leaf.parts]
        names = tuple(name for name, _ in entries)
        mine = {part.path: shapes[part.path] for part in parts}
        if len(mine) == 1 and all(part.keeps_layout for part in parts):
            ((path, shape),) = mine.items()
            return cls(
                names,
                mine,
                lambda arrays, device: hand_to_torch(jnp.asarray(arrays[path]), device).reshape(-1),
                lambda flat: {path: hand_to_jax(flat.view(shape))},
            )

        @jax.jit
        def flatten(arrays: Mapping[str, Any]) -> jax.Array:
            return jnp.concatenate([part.to_torch(arrays[part.path]).reshape(-1) for part in parts])

        @jax.jit
        def unflatten(flat: jax.Array) -> dict[str, jax.Array]:
            pieces: dict[str, list[jax.Array]] = {path: [] for path in mine}
            addends: list[tuple[str, jax.Array]] = []
            start = 0
            for part in parts:
                stop = start + math.prod(part.held_shape(mine[part.path]))
                piece = part.to_jax(flat[start:stop], mine[part.path])
                if part.is_addend:
                    addends.append((part.path, piece))
                else:
                    pieces[part.path].append(piece)
                start = stop
            found = {path: rows[0] if len(rows) == 1 else jnp.concatenate(rows) for path, rows in pieces.items()}
            for path, addend in addends:
                # A sum with 0 may change the bits of a number: those of -0, and of one too small for the processor.
                found[path] = jnp.where(addend == 0, found[path], found[path] + addend)
            return found

        return cls(
            names,
            mine,
            lambda arrays, device: hand_to_torch(flatten(arrays), device),
            lambda flat: unflatten(hand_to_jax(flat)),
        )


def _grouped(entries: Sequence[Entry], shapes: Mapping[str, tuple[int, ...]], limit: int) -> list[list[Entry]]:
    """Groups the entries by at most `limit` bytes; a larger array is alone, with what must cross with it."""
    groups: list[list[Entry]] = []
    free = 0
    for component in _components(entries):
        needed = 4 * sum(math.prod(_torch_shape(leaf, shapes)) for _, leaf in component)
        if not groups or needed > free:
            groups.append([])
            free = limit
        groups[-1] += component
        free -= needed
    return groups


def _components(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Groups entries that share an array, in the order of its rows."""
    found: list[list[Entry]] = []
    of_path: dict[str, list[Entry]] = {}
    for entry in entries:
        paths = [part.path for part in entry[1].parts]
        component = next((of_path[path] for path in paths if path in of_path), None)
        if component is None:
            found.append(component := [])
        component.append(entry)
        of_path |= dict.fromkeys(paths, component)
    return [sorted(component, key=lambda entry: entry[1].parts[0].first_row) for component in found]


def _torch_shape(leaf: Leaf | Joined, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    parts = [part.torch_shape(shapes[part.path]) for part in leaf.parts]
    return parts[0] if len(parts) == 1 else (sum(shape[0] for shape in parts), *parts[0][1:])


def _check_one_to_one(entries: Sequence[Entry], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Checks that the tensors hold every row of every array exactly once, and joined tensors only whole arrays."""
    missing = dict.fromkeys(shapes, 0)  # the first row that no tensor holds yet
    parts = [part for _, leaf in entries for part in leaf.parts]
    for part in sorted(parts, key=lambda part: part.first_row):
        if part.path not in shapes:
            raise ValueError(f"a tensor holds {part.path}, which the JAX model does not have")
        if part.is_addend:
            continue
        if part.first_row != missing[part.path]:
            raise ValueError(f"{part.path}: tensors hold row {min(part.first_row, missing[part.path])} twice or never")
        missing[part.path] += (part.held_shape(shapes[part.path]) or (1,))[0]
    for path, shape in shapes.items():
        if missing[path] != (shape or (1,))[0]:
            raise ValueError(f"{path}: no tensor holds the rows from {missing[path]} on")
    for _, leaf in entries:
        if len(leaf.parts) > 1 and any(part.rows is not None for part in leaf.parts):
            raise ValueError(f"{leaf.parts[0].path}: a joined tensor holds whole arrays")
