"""What a checkpoint of a PyTorch trial saves: module, optimizer state and random states of every process."""

import json
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from algoperf_jax.checkpoints import random_states
from algoperf_jax.checkpoints.checksums import checksums_here
from algoperf_jax.errors import RunError
from algoperf_jax.trial.backend import Content, Packed
from torch_compat.checkpoints import saved_values
from torch_compat.processes import Processes


class _State(NamedTuple):
    """Everything that is saved. The module's tensors come first, so that references to them are restored as such.

    Attributes:
      module: the parameters and buffers by name.
      gradients: gradients of the parameters that have one; some submissions accumulate them over several steps.
      model_state: the model state, as the submission returned it.
      optimizer_state: the optimizer state, as the submission returned it.
      random: states of PyTorch's random generators, by device type.
      process_random: the random states that Python and NumPy keep for the process.
    """

    module: dict[str, torch.Tensor]
    gradients: dict[str, torch.Tensor]
    model_state: Any
    optimizer_state: Any
    random: dict[str, torch.Tensor]
    process_random: random_states.RandomStates | None


def pack(content: Content, device: torch.device) -> Packed:
    """Packs the state of this process.

    Args:
      content: the unwrapped module, model state and optimizer state.
      device: where the module is.

    Returns:
      Arrays on the host, which may be views of tensors.
    """
    module: torch.nn.Module = content.params
    gradients = {name: tensor.grad for name, tensor in module.named_parameters() if tensor.grad is not None}
    random = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        random["cuda"] = torch.cuda.get_rng_state(device)
    return saved_values.pack(
        _State(
            module=tensors(module),
            gradients=gradients,
            model_state=content.model_state,
            optimizer_state=content.optimizer_state,
            random=random,
            process_random=random_states.current(),
        )
    )


@torch.no_grad()
def unpack(template: Content, packed: Packed, device: torch.device) -> Content:
    """Unpacks into a fresh state, the module's tensors in place, and sets the random generators.

    Raises:
      RunError: the structures differ.
    """
    module: torch.nn.Module = template.params
    found = tensors(module)
    state: _State = saved_values.unpack(
        _State(dict(found), {}, template.model_state, template.optimizer_state, {}, None), packed
    )
    odd = sorted(name for name in {*found, *state.module} if found.get(name) is not state.module.get(name))
    if odd:
        raise RunError(
            f"checkpoint: the tensor {odd[0]!r} of the module is in the checkpoint or in a new module, but not in both",
            expected="the model that the trial was started with",
            remedy="Start over with --config.overwrite=True.",
        )
    for name, parameter in module.named_parameters():
        gradient = state.gradients.get(name)
        parameter.grad = None if gradient is None else gradient.to(parameter.device)
    # Set last, because making the template draws random numbers.
    torch.set_rng_state(state.random["cpu"])
    if device.type == "cuda" and "cuda" in state.random:
        torch.cuda.set_rng_state(state.random["cuda"], device)
    assert state.process_random is not None
    random_states.restore(state.process_random)
    return Content(module, state.model_state, state.optimizer_state)


def tensors(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The parameters and buffers of a module by name."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


# --- several processes -----------------------------------------------------------------------------------------------


def shared(mine: Packed, processes: Processes) -> Packed:
    """Combines the states of all processes, identically in each: equal values once, other values by rank.

    Parameters are equal in all processes; random states and sharded optimizer states are not.
    """
    if processes.count == 1:
        return mine
    marks = {
        **checksums_here(mine.arrays),
        **{name: zlib.crc32(json.dumps(value).encode()) for name, value in mine.values.items()},
    }
    all_marks = processes.gather(marks)
    common = {name for name, mark in marks.items() if all(others.get(name) == mark for others in all_marks)}
    differing = processes.gather(
        Packed(
            {name: np.array(array) for name, array in mine.arrays.items() if name not in common},
            {name: value for name, value in mine.values.items() if name not in common},
        )
    )
    arrays = {name: array for name, array in mine.arrays.items() if name in common}
    values = {name: value for name, value in mine.values.items() if name in common}
    for rank, part in enumerate(differing):
        arrays |= {f"process_{rank}.{name}": array for name, array in part.arrays.items()}
        values |= {f"process_{rank}.{name}": value for name, value in part.values.items()}
    return Packed(arrays, {**values, "processes": processes.count})


def own(packed: Packed, processes: Processes) -> Packed:
    """The inverse of `shared`: the state of this process.

    Raises:
      RunError: the checkpoint was written by another number of processes.
    """
    count = packed.values.get("processes", 1)
    if count != processes.count:
        raise RunError(
            f"the checkpoint was written by {count} processes",
            value=processes.count,
            expected=f"{count} again",
            remedy="Start as many, or start over with --config.overwrite=True.",
        )
    if count == 1:
        return packed
    prefix = f"process_{processes.rank}."

    def mine(parts: Mapping[str, Any]) -> dict[str, Any]:
        common = {name: part for name, part in parts.items() if not name.startswith("process")}
        return common | {name.removeprefix(prefix): part for name, part in parts.items() if name.startswith(prefix)}

    return Packed(mine(packed.arrays), mine(packed.values))
