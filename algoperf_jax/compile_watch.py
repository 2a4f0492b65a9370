"""Counts compilations and their time, as JAX reports them."""

import dataclasses

import jax

_EVENT = "/jax/core/compile/backend_compile_duration"


@dataclasses.dataclass
class CompileWatch:
    """Totals since this object was made.

    Attributes:
      count: number of programs compiled.
      seconds: time the compiler took.
    """

    count: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        jax.monitoring.register_event_duration_secs_listener(self._listen)

    def _listen(self, event: str, duration_secs: float, **kwargs: str | int) -> None:
        del kwargs
        if event == _EVENT:
            self.count += 1
            self.seconds += duration_secs
