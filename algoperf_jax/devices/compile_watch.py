"""Counts compilations and their time, as JAX reports them."""

import collections
import dataclasses

import jax

_EVENT = "/jax/core/compile/backend_compile_duration"


@dataclasses.dataclass
class CompileWatch:
    """Totals since this object was made.

    Attributes:
      count: number of programs compiled.
      seconds: time spent compiling.
      programs: name of a program, such as `jit(train_step)` -> number of compilations under this name.
    """

    count: int = 0
    seconds: float = 0.0
    programs: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

    def __post_init__(self) -> None:
        jax.monitoring.register_event_duration_secs_listener(self._listen)

    def add(self, program: str, seconds: float) -> None:
        """Counts a compilation."""
        self.count += 1
        self.seconds += seconds
        self.programs[program] += 1

    def _listen(self, event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event == _EVENT:
            self.add(str(kwargs.get("fun_name", "an unnamed program")), duration_secs)
