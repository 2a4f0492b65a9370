"""Events reach every sink once, in order, after the scalars that were logged before them."""

import io

import jax.numpy as jnp
from rich.console import Console

from algoperf_jax.outputs.progress import Progress
from algoperf_jax.outputs.recorder import Recorder
from algoperf_jax.outputs.scalar_log import ScalarLog
from algoperf_jax.trial.clock import Bucket, Clock
from algoperf_jax.trial.events import Event
from algoperf_jax.workload import Goal


def new_progress(period_sec: float = 1e9) -> Progress:
    return Progress(
        Console(file=io.StringIO()),
        title="tiny",
        goal=Goal("accuracy", "maximize", validation=0.9, test=None),
        budget_sec=60.0,
        max_steps=None,
        period_sec=period_sec,
    )


def test_scalars_come_before_the_event_that_follows_them() -> None:
    first: list[Event] = []
    second: list[Event] = []
    scalars = ScalarLog()
    recorder = Recorder([first.append, second.append], new_progress(), scalars, count=5)
    scalars.append_scalar_metrics({"loss": jnp.float32(0.5)}, 3)
    recorder.emit(Event("evaluation", 4, {}, {"validation/accuracy": 0.75}))
    assert first == [
        Event("train", 3, {}, {"loss": 0.5}),
        Event("evaluation", 4, {}, {"validation/accuracy": 0.75, "preemption_count": 0}),
    ]
    assert second == first
    assert recorder.count == 7


def test_evaluations_and_the_end_note_how_many_processes_came_before() -> None:
    events: list[Event] = []
    recorder = Recorder([events.append], new_progress(), ScalarLog(), preemption_count=2)
    recorder.emit(Event("evaluation", 4, {}, {}))
    recorder.emit(Event("end", 5, {}, {"status": "failed"}))
    assert [event.values for event in events] == [
        {"preemption_count": 2},
        {"status": "failed", "preemption_count": 2},
    ]


def test_a_step_emits_nothing_until_a_progress_line_is_due() -> None:
    for period_sec, count in ((1e9, 0), (0.0, 1)):
        scalars = ScalarLog()
        recorder = Recorder([], new_progress(period_sec), scalars)
        scalars.append_scalar_metrics({"loss": 1}, 0)
        recorder.tick(1, Clock.start(Bucket.SETUP))
        assert recorder.count == count
