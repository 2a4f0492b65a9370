"""Counts what `torch.compile` compiles."""

import time

from torch._dynamo import callback

from algoperf_jax.devices.compile_watch import CompileWatch


class TorchCompileWatch(CompileWatch):
    """Counts what PyTorch compiles, in addition to JAX; a program's name is the number that PyTorch gives it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._since = 0.0
        callback.on_compile_start(self._begin)
        callback.on_compile_end(self._end)

    def _begin(self, compilation: callback.CallbackArgs) -> None:
        del compilation
        self._since = time.perf_counter()

    def _end(self, compilation: callback.CallbackArgs) -> None:
        self.add(f"torch.compile {compilation.compile_id}", time.perf_counter() - self._since)
