"""`timing_rules='reference'` reproduces the reference runner's bookkeeping, scenario by scenario."""

from typing import Any

import pytest

from algoperf_jax.trial.clock import Bucket
from algoperf_jax.trial.rules import RULESET_BUDGET_FACTORS
from tests import golden_support
from tests.algoperf_jax.trial.scripted_trial import Script, run_scripted

SCENARIOS = golden_support.listing("runner_timeline")
TIMES = ("score", "total_duration", "accumulated_submission_time", "accumulated_eval_time")


def _script(scenario: dict[str, Any]) -> Script:
    only_at = scenario.get("validation_target_only_met_at_eval")
    test_from = scenario.get("test_target_met_from_eval")
    return Script(
        data_selection_sec=scenario["data_selection_sec"],
        step_sec=scenario["step_sec"],
        eval_sec=scenario["eval_sec"],
        prepare_for_eval_sec=scenario.get("prepare_for_eval_sec"),
        training_complete_error_at_step=scenario.get("training_complete_error_at_step"),
        eval_raises_at_call=scenario.get("eval_raises_at_call", ()),
        validation_met=lambda call: call == only_at,
        test_met=lambda call: test_from is not None and call >= test_from,
    )


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_scenario(name: str) -> None:
    scenario, expected = SCENARIOS[name]["scenario"], SCENARIOS[name]["expected"]
    recorded = run_scripted(
        _script(scenario),
        rules="reference",
        budget_sec=scenario["max_allowed_runtime_sec"] * RULESET_BUDGET_FACTORS[scenario["ruleset"]],
        eval_period_sec=scenario["eval_period_time_sec"],
        max_steps=scenario.get("max_global_steps"),
    )
    state, clock = recorded.outcome.state, recorded.outcome.clock
    assert state.step == expected["global_step"]
    assert clock.seconds(Bucket.SUBMISSION) == expected["accumulated_submission_time"]
    assert recorded.time.seconds == expected["clock_at_end"]
    assert [list(call) for call in recorded.calls] == expected["calls"]
    seen_key = "seen_by_update_params_[step,accumulated_submission_time,num_eval_results]_first12"
    assert [list(seen) for seen in recorded.seen_by_update[:12]] == expected[seen_key]
    assert len(state.history) == len(expected["eval_results"])
    for evaluation, (step, row) in zip(state.history, expected["eval_results"], strict=True):
        assert evaluation.step == step
        assert {key: evaluation.results[key] for key in row} == row
        assert set(TIMES) <= set(row)
