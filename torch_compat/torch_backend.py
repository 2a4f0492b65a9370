"""The backend of PyTorch submissions: PyTorch trains, JAX evaluates."""

import collections
import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import torch

from algoperf_jax.devices import memory
from algoperf_jax.devices.evaluation import Evaluator
from algoperf_jax.devices.mesh import Layout
from algoperf_jax.errors import SubmissionError
from algoperf_jax.trial.backend import Content, NonFiniteError, Packed, StepKeys
from algoperf_jax.workload import Batch, Finish, ModelState, Parameters
from torch_compat.checkpoints import checkpointed_state
from torch_compat.processes import Processes
from torch_compat.random_keys import DrawStepKeys
from torch_compat.torch_view import TorchView
from torch_compat.transfer.crossing import host_to_torch
from torch_compat.transfer.parameter_transfer import ParameterTransfer
from torch_compat.transfer.torch_model import TorchModel

QUEUED_STEPS = 2
"""Number of steps that may be queued on a GPU, as for JAX."""
_DTYPES = {"f": torch.float32, "i": torch.int64, "u": torch.int64, "b": torch.bool}
_UNFINISHED_DTYPES = {**_DTYPES, "u": torch.uint8}
"""Types of arrays that are finished on the device: bytes are sent as bytes."""


@dataclasses.dataclass(frozen=True)
class _Probe:
    """A number computed from the parameters after a step, on its way to the host."""

    step: int
    value: torch.Tensor
    arrived: torch.cuda.Event | None


class TorchBackend:
    """Device work for submissions whose parameters are a `torch.nn.Module`; see `backend.Backend`."""

    def __init__(
        self,
        view: TorchView,
        model: TorchModel,
        transfer: ParameterTransfer,
        processes: Processes,
        layout: Layout,
        evaluator: Evaluator,
    ) -> None:
        self._view = view
        self._model = model
        self._transfer = transfer
        self._processes = processes
        self._layout = layout
        self._evaluator = evaluator
        self._device = processes.device
        self._step_keys = DrawStepKeys()
        self._parameters: list[tuple[str, torch.nn.Parameter, torch.Size]] = []
        self._tensor_names: set[str] | None = None
        self._probed: torch.Tensor
        self._queued: collections.deque[_Probe] = collections.deque()

    def initialize(self, rng: Any) -> tuple[Parameters, ModelState]:
        module, model_state = self._view.init_model_fn(rng)
        self._parameters = [(name, p, p.shape) for name, p in self._view.inner_module.named_parameters()]
        self._tensor_names = None
        # The smallest tensor is cheap to sum, and once a loss is not finite, no parameter stays finite.
        self._probed = min((parameter for _, parameter, _ in self._parameters), key=torch.Tensor.numel)
        # Compiled here, off the clock.
        self._transfer.from_module(self._view.inner_module, "init_model_fn")
        return module, model_state

    def step_keys(self, rng: Any, step: int) -> StepKeys:
        if self._tensor_names is None and self._parameters:
            # Not earlier: a submission may add tensors when it makes its state, as it also does before a resume.
            self._tensor_names = set(checkpointed_state.tensors(self._view.inner_module))
        return self._step_keys(rng, step)

    def put_batch(self, batch: Batch, finish: Finish | None = None) -> Batch:
        """Puts a batch on the device: inputs in PyTorch's layout, weights as booleans, the rest as int64 or float32."""
        if finish is None:
            changed = {
                "inputs": self._model.arrange(batch["inputs"]),
                "weights": jax.tree.map(lambda weights: weights != 0, batch["weights"]),
            }
            return {name: self._sent(leaves) for name, leaves in {**batch, **changed}.items()}
        finished = finish(self._sent(dict(batch), _UNFINISHED_DTYPES))
        return {
            **finished,
            "inputs": jax.tree.map(torch.Tensor.contiguous, self._model.arrange(finished["inputs"])),
            "weights": jax.tree.map(lambda weights: weights != 0, finished["weights"]),
        }

    def check_update(self, function: str, params: Parameters) -> None:
        if params is not self._view.module:
            raise SubmissionError(
                f"{function} returned {_described(params)} instead of the parameters",
                expected="the module that init_model_fn made, changed in place",
            )
        for name, parameter, shape in self._parameters:
            if parameter.shape != shape:
                raise SubmissionError(
                    f"{function} left the parameter {name} with the shape {tuple(parameter.shape)}",
                    expected=str(tuple(shape)),
                )
            if parameter.dtype != torch.float32:
                raise SubmissionError(
                    f"{function} left the parameter {name} with the type {parameter.dtype}", expected="torch.float32"
                )

    def pace(self, params: Parameters, step: int) -> None:
        del params
        self._queued.append(self._probe(step, self._probed.detach().sum()))
        while self._queued and (self._device.type == "cpu" or len(self._queued) > QUEUED_STEPS):
            probe = self._queued.popleft()
            if probe.arrived is not None:
                probe.arrived.synchronize()
            if not math.isfinite(probe.value.item()):
                raise NonFiniteError(f"the parameters are no longer finite after step {probe.step}")

    def wait_for(self, outputs: Any) -> None:
        del outputs
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def for_evaluation(self, params: Parameters, model_state: ModelState) -> tuple[Parameters, ModelState]:
        del model_state
        found = self._transfer.from_module(self._processes.unwrap(params), "update_params")
        if self._processes.count == 1:
            return found
        replicated = self._layout.replicated
        return jax.tree.map(
            lambda local: jax.make_array_from_single_device_arrays(local.shape, replicated, [local]), found
        )

    def evaluate(self, params: Parameters, model_state: ModelState, rng: Any) -> dict[str, float]:
        # Nothing is queued any more; if the parameters are not finite, the validation loss will show it.
        self._queued.clear()
        return self._evaluator(*self.for_evaluation(params, model_state), np.asarray(rng, np.uint32))

    def pack(self, content: Content) -> Packed:
        inner = content._replace(params=self._processes.unwrap(content.params))
        names = set(checkpointed_state.tensors(inner.params))
        odd = sorted(names ^ (names if self._tensor_names is None else self._tensor_names))
        if odd:
            what = "added" if odd[0] in names else "removed"
            raise SubmissionError(
                f"the checkpoint cannot be written: the submission {what} the tensor {odd[0]!r} of the module during "
                "training",
                expected="the tensors that the module had before the first step",
                remedy="Keep tensors of your own in the optimizer state.",
            )
        return checkpointed_state.shared(checkpointed_state.pack(inner, self._device), self._processes)

    def shardings(self, packed: Packed) -> Mapping[str, Any]:
        del packed  # all arrays belong to one module, which is on one device
        return {}

    def unpack(self, template: Content, packed: Packed) -> Content:
        inner = template._replace(params=self._processes.unwrap(template.params))
        mine = checkpointed_state.own(packed, self._processes)
        return checkpointed_state.unpack(inner, mine, self._device)._replace(params=template.params)

    def explain(self, error: BaseException) -> str:
        text = str(error)
        if isinstance(error, torch.OutOfMemoryError):
            return (
                "The GPU's memory is shared with evaluation, see --config.evaluation.stage_bytes; or try a smaller "
                "--config.batch_size."
            )
        if self._device.type == "cpu" and ("CUDA" in text or "NVIDIA" in text or "nccl" in text.lower()):
            return "It asks for CUDA, but PyTorch sees no GPU here: run it on a machine with one."
        if not self._processes.grouped and ("torch.distributed" in text or "process group" in text):
            return "It asks for several processes: start it with torchrun --nproc_per_node=N -m algoperf_jax.main ..."
        if "compiler" in text.lower() and type(error).__module__.startswith("torch._"):
            return "torch.compile needs a C++ compiler here; set the variable TORCHDYNAMO_DISABLE=1 to run without it."
        return ""

    def devices(self) -> dict[str, Any]:
        kind = torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else "cpu"
        return {"platform": self._device.type, "kind": kind, "count": self._processes.count}

    def memory_peak_bytes(self) -> dict[str, int]:
        peaks = memory.memory_peak_bytes()
        if self._device.type == "cuda":
            # JAX reports its own peak on the same device.
            peaks["device, PyTorch"] = torch.cuda.max_memory_allocated(self._device)
        return peaks

    def _sent(self, arrays: Any, dtypes: Mapping[str, torch.dtype] = _DTYPES) -> Any:
        """A tree of host arrays as tensors on the device.

        Integers become int64, the type of PyTorch's indices, but for int16, which are samples of audio.
        """

        def sent(array: np.ndarray) -> torch.Tensor:
            is_audio = array.dtype == np.int16
            tensor = host_to_torch(array, torch.int16 if is_audio else dtypes[array.dtype.kind])
            return tensor if self._device.type == "cpu" else tensor.pin_memory().to(self._device, non_blocking=True)

        return jax.tree.map(sent, arrays)

    def _probe(self, step: int, value: torch.Tensor) -> _Probe:
        if self._device.type == "cpu":
            return _Probe(step, value, None)
        # Reading it would wait for all queued work, so the transfer starts now.
        on_host = torch.empty((), dtype=value.dtype, pin_memory=True).copy_(value, non_blocking=True)
        arrived = torch.cuda.Event()
        arrived.record(torch.cuda.current_stream(self._device))
        return _Probe(step, on_host, arrived)


def _described(value: Any) -> str:
    return f"another module, a {type(value).__name__}," if isinstance(value, torch.nn.Module) else type(value).__name__
