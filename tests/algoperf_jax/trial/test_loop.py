"""The standard rules: their differences from the reference's, and what both have in common."""

import gc
import weakref
from types import MappingProxyType

import numpy as np
import pytest

from algoperf_jax.trial.clock import Bucket
from algoperf_jax.trial.run_state import RunState
from tests.algoperf_jax.trial.scripted_trial import Script, run_scripted


def steps_of_evaluations(recorded) -> list[int]:
    return [evaluation.step for evaluation in recorded.outcome.state.history]


# --- where the standard rules differ ---------------------------------------------------------------------------------


def test_first_evaluation_comes_after_the_first_period() -> None:
    # A step takes 10 s, the period is 35 s: due at 40 s, then 35 s after the end of each evaluation.
    recorded = run_scripted(Script())
    assert steps_of_evaluations(recorded) == [4, 8, 12, 16]
    assert run_scripted(Script(), rules="reference").outcome.state.history[0].step == 1


def test_trial_ends_with_the_step_that_spends_the_budget() -> None:
    recorded = run_scripted(Script(), budget_sec=65.0)
    assert recorded.outcome.status == "budget_spent"
    assert recorded.outcome.state.step == 7
    assert recorded.outcome.clock.seconds(Bucket.SUBMISSION) == 70.0
    # The reference notices this only when the next evaluation is due.
    assert run_scripted(Script(), rules="reference", budget_sec=65.0).outcome.state.step == 9


def test_budget_spent_exactly_is_spent() -> None:
    recorded = run_scripted(Script(), budget_sec=70.0)
    assert (recorded.outcome.status, recorded.outcome.state.step) == ("budget_spent", 7)


def test_no_evaluation_and_no_preparation_once_the_budget_is_spent() -> None:
    recorded = run_scripted(Script(prepare_for_eval_sec=1.0), budget_sec=40.0)
    assert recorded.outcome.status == "budget_spent"
    assert recorded.calls == []


def test_prepare_for_eval_can_spend_the_budget() -> None:
    recorded = run_scripted(Script(prepare_for_eval_sec=8.0), budget_sec=45.0)
    assert recorded.outcome.status == "budget_spent"
    assert recorded.calls == [("prepare_for_eval", 4)]
    assert recorded.outcome.clock.seconds(Bucket.SUBMISSION) == 48.0
    assert recorded.outcome.state.history == ()


def test_failed_evaluation_ends_the_trial_as_failed() -> None:
    recorded = run_scripted(Script(eval_raises_at_call=[2]))
    assert recorded.outcome.status == "failed"
    assert "evaluation after step 8 failed" in recorded.outcome.reason
    assert steps_of_evaluations(recorded) == [4]
    # Its time counts as evaluation time and is not lost.
    assert recorded.outcome.clock.seconds(Bucket.EVALUATION) == 14.0


def test_queued_device_work_is_submission_time() -> None:
    script = Script(data_selection_sec=0.0, step_sec=[1.0], queued_device_sec=2.0)
    standard = run_scripted(script, eval_period_sec=5.0, max_steps=5)
    assert standard.outcome.clock.seconds(Bucket.SUBMISSION) == 15.0
    assert standard.outcome.clock.seconds(Bucket.EVALUATION) == 7.0
    reference = run_scripted(script, eval_period_sec=5.0, max_steps=5, rules="reference")
    assert reference.outcome.clock.seconds(Bucket.SUBMISSION) == 5.0


@pytest.mark.parametrize("name", ["validation/loss", "test/ctc_loss"])
def test_nonfinite_loss_ends_the_trial_as_failed(name: str) -> None:
    script = Script(metric=lambda call: float("nan") if call == 2 else 0.5, metric_name=name)
    recorded = run_scripted(script)
    assert recorded.outcome.status == "failed"
    assert f"{name} is nan after step 8" in recorded.outcome.reason
    assert [event.step for event in recorded.events if event.kind == "evaluation"] == [4, 8]
    assert run_scripted(script, rules="reference").outcome.status == "budget_spent"


# --- what both have in common ----------------------------------------------------------------------------------------


def test_targets_end_the_trial_and_are_sticky() -> None:
    script = Script(validation_met=lambda call: call == 1, test_met=lambda call: call >= 3)
    recorded = run_scripted(script)
    assert recorded.outcome.status == "target_reached"
    assert steps_of_evaluations(recorded) == [4, 8, 12]


def test_training_complete_error_counts_the_step_and_evaluates_once_more() -> None:
    recorded = run_scripted(Script(training_complete_error_at_step=5))
    assert recorded.outcome.status == "training_complete"
    assert recorded.outcome.state.step == 6
    assert recorded.outcome.state.params == 5
    assert steps_of_evaluations(recorded) == [4, 6]


def test_max_steps_completes_the_training_with_an_evaluation() -> None:
    recorded = run_scripted(Script(), max_steps=2)
    assert (recorded.outcome.status, steps_of_evaluations(recorded)) == ("training_complete", [2])


def test_history_rows_carry_the_clock() -> None:
    recorded = run_scripted(Script(prepare_for_eval_sec=3.0), max_steps=4)
    row = recorded.outcome.state.history[0].results
    assert row["score"] == row["accumulated_submission_time"] == 43.0
    assert row["accumulated_eval_time"] == 7.0
    assert row["total_duration"] == 50.0


def test_setup_is_in_no_row() -> None:
    recorded = run_scripted(Script(), max_steps=4)
    assert recorded.outcome.clock.seconds(Bucket.SETUP) == 18.0
    assert sum(recorded.outcome.clock.readings().values()) == recorded.time.seconds - 1000.0


def test_buckets_sum_to_the_wall_time() -> None:
    recorded = run_scripted(Script(prepare_for_eval_sec=0.5, step_sec=[3.0, 17.0, 0.25]))
    assert sum(recorded.outcome.clock.readings().values()) == recorded.time.seconds - 1000.0


def test_interruption_checkpoints_after_the_step_and_resumes_where_it_was() -> None:
    whole = run_scripted(Script())
    stop_after = 6
    first = run_scripted(Script(), stop_requested=_after_calls(stop_after))
    assert first.outcome.status == "interrupted"
    saved = first.saved[-1]
    assert saved.step == first.outcome.state.step
    second = run_scripted(Script(), state=saved)
    assert [_times(e) for e in second.outcome.state.history] == [_times(e) for e in whole.outcome.state.history]
    assert second.outcome.state.step == whole.outcome.state.step
    assert second.outcome.state.data_position == whole.outcome.state.data_position
    ours, theirs = second.outcome.clock.readings(), whole.outcome.clock.readings()
    assert {k: v for k, v in ours.items() if k != "setup"} == {k: v for k, v in theirs.items() if k != "setup"}
    assert ours["setup"] == 2 * theirs["setup"]


def _times(evaluation) -> dict:
    return {"step": evaluation.step} | {name: value for name, value in evaluation.results.items() if "/" not in name}


def _after_calls(count: int):
    calls = iter(range(10**6))
    return lambda: next(calls) >= count


def test_a_finished_state_runs_nothing() -> None:
    state = RunState(3, None, None, np.zeros(2, np.uint32), step=3, training_complete=True)
    recorded = run_scripted(Script(), state=state)
    assert recorded.outcome.status == "training_complete"
    assert recorded.seen_by_update == []


def test_exception_in_a_submission_fails_the_trial_and_keeps_what_was_logged() -> None:
    def explode(step: int) -> None:
        if step == 6:
            raise ValueError("no such step\nsecond line")

    recorded = run_scripted(Script(on_step=explode))
    assert recorded.outcome.status == "failed"
    assert recorded.outcome.reason == "scripted: update_params raised ValueError at step 6: no such step"
    assert isinstance(recorded.outcome.error, ValueError)
    assert steps_of_evaluations(recorded) == [4]
    assert len(recorded.saved) == 1


@pytest.mark.parametrize("returned", [None, (1, 2), [1, 2, 3]])
def test_wrong_return_value_is_named(returned) -> None:
    recorded = run_scripted(Script(), update_params=lambda **arguments: returned)
    assert recorded.outcome.status == "failed"
    assert "update_params returned" in recorded.outcome.reason
    assert "(optimizer_state, params, model_state)" in recorded.outcome.reason


def test_train_state_is_passed_only_to_functions_that_take_it() -> None:
    seen = []

    def with_train_state(*, train_state, optimizer_state, current_param_container, **arguments):
        seen.append(train_state)
        return optimizer_state, current_param_container, None

    def without(
        workload,
        current_param_container,
        current_params_types,
        model_state,
        hyperparameters,
        batch,
        loss_type,
        optimizer_state,
        eval_results,
        global_step,
        rng,
    ):
        return optimizer_state, current_param_container, None

    run_scripted(Script(step_sec=[9.0]), max_steps=2, update_params=with_train_state)
    assert isinstance(seen[0], MappingProxyType)
    assert set(seen[0]) == {
        "validation_goal_reached",
        "test_goal_reached",
        "is_time_remaining",
        "last_eval_time",
        "training_complete",
        "accumulated_submission_time",
        "accumulated_eval_time",
        "accumulated_logging_time",
        "last_step_end_time",
    }
    recorded = run_scripted(Script(), max_steps=2, update_params=without)
    assert recorded.outcome.status == "training_complete"


def test_the_result_of_data_selection_is_passed_on_unchanged() -> None:
    batches = []

    def data_selection(workload, input_queue, *rest):
        return input_queue

    def update_params(*, batch, optimizer_state, current_param_container, **arguments):
        batches.extend(next(batch) for _ in range(5))
        return optimizer_state, current_param_container, None

    recorded = run_scripted(Script(), max_steps=2, data_selection=data_selection, update_params=update_params)
    assert batches == list(range(1, 11))
    assert recorded.outcome.state.step == 2
    assert recorded.outcome.state.data_position == 10


def test_parameters_prepared_for_evaluation_replace_the_state() -> None:
    def prepare_for_eval(*, current_param_container, **arguments):
        return "stashed", current_param_container + 100, None

    recorded = run_scripted(Script(), max_steps=4, prepare_for_eval=prepare_for_eval)
    assert recorded.outcome.state.params == 104
    assert recorded.outcome.state.optimizer_state == "stashed"


class _Array:
    """An object that weak references can refer to."""


def test_the_loop_keeps_no_reference_to_passed_arrays() -> None:
    alive = []
    first = _Array()
    watched = [weakref.ref(first)]

    def update_params(*, current_param_container, global_step, **arguments):
        del current_param_container
        if global_step >= 2:
            gc.collect()
            alive.append(sum(reference() is not None for reference in watched[:-1]))
        new = _Array()
        watched.append(weakref.ref(new))
        return None, new, None

    state = [RunState(first, None, None, np.zeros(2, np.uint32))]
    del first
    run_scripted(Script(), max_steps=6, state=state.pop(), update_params=update_params)
    # All parameters except those of the previous step are gone.
    assert max(alive) == 0
