"""Steps of the real loop are timed in blocks; a scripted clock makes the numbers exact."""

import dataclasses
import pathlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from algoperf_jax.assembly import Parts
from algoperf_jax.bench.steps import Block, Compilation, ConstantFeed, TimedSteps, block_lengths, time_steps
from algoperf_jax.errors import RunError
from algoperf_jax.submission.interface import Source, Submission, TrainingCompleteError
from algoperf_jax.trial.backend import StepKeys
from algoperf_jax.trial.rules import TIMING_RULES
from algoperf_jax.trial.run_state import RunState
from algoperf_jax.workload import Goal

FETCH_SEC, UPDATE_SEC, DEVICE_SEC, TICK_SEC = 2.0, 3.0, 5.0, 7.0


class Scene:
    """A stub backend, feed and submission that share one clock; device work takes time when someone waits for it."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.queued = 0.0
        self.programs = SimpleNamespace(count=3, seconds=1.5)
        self.positions: list[Any] = []

    # The backend.
    def step_keys(self, rng: Any, step: int) -> StepKeys:
        return StepKeys(*(np.asarray([step, index], np.uint32) for index in range(4)))

    def check_update(self, function: str, params: Any) -> None:
        pass

    def explain(self, error: BaseException) -> str:
        return ""

    def pace(self, params: Any, step: int) -> None:
        self.queued += DEVICE_SEC

    def wait_for(self, outputs: Any) -> None:
        self.seconds += self.queued
        self.queued = 0.0

    # The feed.
    def __iter__(self) -> "Scene":
        return self

    def __next__(self) -> Any:
        self.seconds += FETCH_SEC
        return {}

    def position(self) -> Any:
        return "a position"

    def seek(self, position: Any) -> None:
        self.positions.append(position)

    # The submission.
    def update_params(
        self, *, optimizer_state: Any, current_param_container: Any, global_step: int, **rest: Any
    ) -> Any:
        self.seconds += UPDATE_SEC
        if global_step in (0, 2):
            self.programs.count += 2
            self.programs.seconds += 0.25
        if global_step == 9:
            raise TrainingCompleteError
        if global_step == 19:
            raise ValueError("no more")
        return optimizer_state, current_param_container + 1, rest["model_state"]

    def tick(self, step: int, clock: Any) -> None:
        self.seconds += TICK_SEC

    def evaluate(self, params: Any, model_state: Any, rng: Any) -> dict[str, float]:
        return {"validation/m": 0.0}


def timed(scene: Scene, states: list[RunState], lengths: list[int], *, rules: str = "standard") -> TimedSteps:
    submission = Submission(
        name="scripted",
        framework="jax",
        get_batch_size=lambda name: 1,
        init_optimizer_state=lambda *arguments: None,
        update_params=scene.update_params,
        data_selection=lambda workload, queue, *rest: next(queue),
        prepare_for_eval=None,
        get_eval_batch_size=None,
        hyperparameters=None,
        source=Source(pathlib.Path("scripted.py"), {}),
    )
    goal = Goal("m", "maximize", validation=1.0, test=None)
    fields: dict[str, Any] = {field.name: None for field in dataclasses.fields(Parts)}
    fields |= {
        "submission": submission,
        "view": SimpleNamespace(model_params_types=None, loss_type=None),
        "backend": scene,
        "workload": SimpleNamespace(goal=goal),
    }
    parts = Parts(**fields)
    feed: Any = scene
    watch: Any = scene.programs
    return time_steps(
        parts,
        submission,
        feed,
        states,
        rules=TIMING_RULES[rules],
        lengths=lengths,
        compile_watch=watch,
        tick=scene.tick,
        now=lambda: scene.seconds,
    )


def fresh(step: int = 0) -> list[RunState]:
    return [RunState(params=0, model_state=None, optimizer_state=None, rng=np.zeros(2, np.uint32), step=step)]


@pytest.mark.parametrize("rules", TIMING_RULES)
def test_blocks_hold_all_time_from_one_synchronization_to_the_next(rules: str) -> None:
    step = FETCH_SEC + UPDATE_SEC + DEVICE_SEC + TICK_SEC
    found = timed(Scene(), fresh(), [1, 3, 2], rules=rules)
    assert found.blocks == tuple(Block(steps, steps * step, steps * FETCH_SEC) for steps in (1, 3, 2))


def test_compilations_are_found_where_they_happen() -> None:
    assert timed(Scene(), fresh(), [1, 5]).compilations == (Compilation(1, 2, 0.25), Compilation(3, 2, 0.25))


def test_the_last_state_continues_with_any_other_feed() -> None:
    scene, states = Scene(), fresh()
    timed(scene, states, [2, 2])
    (state,) = states
    assert (state.step, state.params) == (4, 4)
    timed(scene, states, [3])
    assert states[0].step == 7
    assert scene.positions == []


def test_an_end_of_the_training_is_an_error() -> None:
    with pytest.raises(RunError, match="ended the training after step 10; expected 12 steps"):
        timed(Scene(), fresh(), [12])


def test_a_failure_names_what_failed() -> None:
    with pytest.raises(RunError, match="update_params raised ValueError at step 19: no more"):
        timed(Scene(), fresh(step=15), [12])


def test_block_lengths_add_up() -> None:
    assert block_lengths(20, 10) == [10, 10]
    assert block_lengths(23, 10) == [10, 10, 3]
    assert block_lengths(3, 10) == [3]


def test_constant_feed_repeats_its_batch() -> None:
    batch = {"inputs": np.zeros(3)}
    feed = ConstantFeed(batch)
    feed.seek(feed.position())
    assert all(next(feed) is batch for _ in range(3))
