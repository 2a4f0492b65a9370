"""The editions of the benchmark, and what they decide about a workload on real data."""

import pathlib

import pytest

import workloads
from algoperf_jax.errors import ConfigError
from algoperf_jax.trial.rules import RULESET_BUDGET_FACTORS
from scoring.targets import read_targets
from workloads import editions

ROOT = pathlib.Path(__file__).parents[2]


def test_the_editions_and_their_precisions() -> None:
    found = {name: edition.precision for name, edition in editions.editions().items()}
    assert found == {"v0.6": "highest", "v0.6-a100": "tf32"}
    assert workloads.edition("v0.6-a100").name == "v0.6-a100"


@pytest.mark.parametrize("name", ["v0.6", "v0.6-a100"])
def test_workloads_of_an_edition_are_those_that_its_score_averages_over(name: str) -> None:
    targets, published = read_targets(name), workloads.edition(name).published
    assert set(targets.base_workloads) <= set(published)
    suites = {other: workloads.suite(other) for other in published if other in workloads.names()}
    scored = {other for other, suite in suites.items() if suite == "algoperf" and workloads.base_name(other) == other}
    assert scored == set(targets.base_workloads) & set(workloads.names())
    assert RULESET_BUDGET_FACTORS["self"] == targets.self_tuning_budget_factor


def test_the_edition_decides_budget_and_period_but_not_the_target() -> None:
    old, new = (workloads.load("ogbg", data_dir="D", edition=name) for name in ("v0.6", "v0.6-a100"))
    assert (old.budget.max_runtime_sec, old.budget.eval_period_sec) == (12_011, 240)
    assert (new.budget.max_runtime_sec, new.budget.eval_period_sec) == (11_303, 452)
    assert old.goal == new.goal
    assert workloads.load("ogbg", data_dir="D").budget == old.budget


def test_built_in_data_have_the_same_budget_in_every_edition() -> None:
    assert workloads.load("ogbg", edition="v0.6-a100").budget == workloads.load("ogbg").budget


def test_a_model_that_nobody_publishes_gets_the_budget_of_the_edition_and_no_target() -> None:
    custom = workloads.load("ogbg", data_dir="D", edition="v0.6-a100", latent_dim=128)
    small = workloads.load("wmt_small", data_dir="D", edition="v0.6-a100")
    assert (custom.budget.max_runtime_sec, small.budget.max_runtime_sec) == (11_303, 16_114)
    assert not custom.goal.has_target
    assert not small.goal.has_target
    assert small.eval_batch_size == workloads.load("wmt_small").eval_batch_size


def test_a_variant_keeps_evaluation_batches_of_its_own() -> None:
    sizes = [
        workloads.load(name, data_dir="D").eval_batch_size
        for name in ("librispeech_deepspeech", "librispeech_deepspeech_norm_and_spec_aug")
    ]
    assert sizes == [256, 128]


def test_a_variant_that_the_edition_dropped() -> None:
    with pytest.raises(ConfigError) as caught:
        workloads.load("ogbg_gelu", data_dir="D", edition="v0.6-a100")
    line = str(caught.value)
    assert line.startswith(
        "workload on real data in the edition v0.6-a100: found 'ogbg_gelu'; expected one of cifar, c"
    )
    assert line.endswith("Set --config.edition=v0.6, which has it.")
    assert workloads.load("ogbg_gelu", edition="v0.6-a100").data.origin == "builtin"


@pytest.mark.parametrize("data_dir", [None, "D"])
def test_an_unknown_edition_is_answered_with_the_nearest(data_dir: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        workloads.load("mnist", data_dir=data_dir, edition="v0.6_a100")
    assert str(caught.value) == (
        "config.edition: found 'v0.6_a100'; expected one of v0.6, v0.6-a100. Did you mean 'v0.6-a100'?"
    )


def test_a_workload_of_no_edition_has_no_published_facts() -> None:
    assert not workloads.has_published_target("wmt_small")
    with pytest.raises(ValueError, match="no file says all about 'wmt_small'"):
        editions.published("wmt_small")


def test_no_number_of_an_edition_stands_in_the_workloads() -> None:
    targets = [read_targets(name) for name in editions.editions()]
    budgets = {
        f"{int(row.budget_sec):_}"
        for target in targets
        for name, row in target.workloads.items()
        if row.budget_sec and workloads_suite(name) == "algoperf"
    }
    assert "12_011" in budgets
    sources = {path: path.read_text() for path in (ROOT / "workloads").rglob("*.py")}
    assert not [(path, number) for path, text in sources.items() for number in budgets if number in text]


def workloads_suite(name: str) -> str | None:
    return workloads.suite(name) if name in workloads.names() else None
