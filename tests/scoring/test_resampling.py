"""Resamples: the rules are those of `score`, and the draws have the right distribution."""

import dataclasses
import functools
import json
import math
import pathlib
import tarfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import scoring
from scoring import resampling, times
from scoring.resampling import bootstrap
from tests.scoring.golden_tables import LOG_SETS
from tests.scoring.log_tables_by_hand import logs_of
from tests.scoring.log_trees import targets, write_hit
from tests.scoring.test_toy_cases import ARCHIVE, load

INF = math.inf
COLUMNS = ["submission", "score", "exact_score"]
# What is drawn with replacement depends on what was read alone, not on a model.
resample = functools.partial(bootstrap, interval="percentile")


def assert_points_are_scores(logs: scoring.Logs, **arguments: Any) -> None:
    found: Any = bootstrap(logs, resamples=3, **arguments).intervals
    expected = scoring.score(logs, **arguments).leaderboard
    pd.testing.assert_frame_equal(found[COLUMNS], expected, check_exact=True)
    assert found["rank"].is_monotonic_increasing


@pytest.mark.parametrize("rule", times.RULES)
@pytest.mark.parametrize("log_set", LOG_SETS)
def test_what_was_read_gives_the_published_scores_to_the_last_bit(
    published: Callable[[str], scoring.Logs], log_set: str, rule: str
) -> None:
    for ties in times.TIES:
        assert_points_are_scores(published(log_set), rule=rule, ties=ties)


@pytest.mark.parametrize("rule", times.RULES)
def test_what_was_read_gives_the_scores_of_every_toy_case(tmp_path: pathlib.Path, rule: str) -> None:
    with tarfile.open(ARCHIVE) as file:
        file.extractall(tmp_path, filter="data")
    cases = json.loads((ARCHIVE.parent / "toy_expected.json").read_text())
    scored = 0
    for case in cases:
        try:
            logs = load(tmp_path / "toy_cases" / case["case"], "external")
        except scoring.ScoringError:
            continue
        assert_points_are_scores(logs, rule=rule)
        scored += 1
    assert scored == 23


def test_each_resample_is_scored_like_separate_logs() -> None:
    version = targets(["alpha", "beta"], ["alpha_var"])
    generator = np.random.default_rng(5)
    names = [(submission, workload) for submission in "abc" for workload in ("alpha", "alpha_var", "beta")]
    medians = generator.uniform(100.0, 500.0, size=(40, len(names)))
    medians[generator.random(medians.shape) < 0.2] = INF
    workloads = ["alpha", "alpha_var", "beta"]
    step = resampling._CELLS
    for cells in (step, 2000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(resampling, "_CELLS", cells)
            on_grid, exact = resampling._scores(medians.reshape(40, 3, 3), workloads, version)
        for number, row in enumerate(medians):
            logs = logs_of({name: [[time]] for name, time in zip(names, row, strict=True)}, version)
            board = scoring.score(logs).leaderboard.sort_values("submission")
            assert board["score"].tolist() == on_grid[number].tolist()
            assert board["exact_score"].tolist() == exact[number].tolist()


def test_the_best_trials_are_drawn_as_often_as_they_should() -> None:
    resamples = 20_000
    # The one at 15 s is faster unless the trial at 10 s is drawn; the one at 25 s unless one of those at 10 and 20 s
    # is.
    other = {("quick", "alpha"): [[15.0]], ("slow", "alpha"): [[25.0]]}
    logs = logs_of({("s", "alpha"): [[30.0, 10.0, INF, 20.0, INF]], **other}, targets())
    table = resample(logs, resamples=resamples).workload_faster
    found: Any = table.set_index(["submission", "other"])["probability"]
    for name, missing in (("quick", 4 / 5), ("slow", 3 / 5)):
        expected = 1.0 - missing**5
        assert found[("s", name)] == pytest.approx(expected, abs=4 * math.sqrt(expected * (1.0 - expected) / resamples))


def test_studies_are_drawn_with_all_their_trials() -> None:
    resamples = 20_000
    # The median of 3 is 10 s if study 0 is drawn at least twice; its 2 trials show whether trials of studies are mixed.
    studies = [[10.0, 10.0], [30.0], [30.0, 30.0, 30.0]]
    logs = logs_of({("s", "alpha"): studies, ("other", "alpha"): [[20.0]]}, targets())
    table: Any = resample(logs, resamples=resamples).workload_faster.set_index("submission")["probability"]
    expected = 3 * (1 / 9) * (2 / 3) + 1 / 27
    assert table["s"] == pytest.approx(expected, abs=4 * math.sqrt(expected * (1.0 - expected) / resamples))
    assert table["s"] + table["other"] == 1.0


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    covered, number = 0, 120
    for experiment in range(number):
        generator = np.random.default_rng(experiment)
        fast, slow = 100.0 * np.exp(0.2 * generator.standard_normal((2, 15)))
        logs = logs_of({("f", "alpha"): fast[:, None], ("s", "alpha"): 2.0 * slow[:, None]}, targets())
        row: Any = resample(logs, resamples=200, level=0.9).intervals.set_index("submission").loc["s"]
        # The medians are 100 and 200 s.
        covered += row["exact_score_low"] <= 2 / 3 <= row["exact_score_high"]
    # 0.9, by 3 standard deviations of a share of 120, and no more than all.
    assert 0.82 * number <= covered < number


def test_more_studies_give_narrower_intervals() -> None:
    widths = []
    for studies in (5, 80):
        generator = np.random.default_rng(1)
        seconds = 150.0 * np.exp(0.3 * generator.standard_normal((2, studies, 1)))
        logs = logs_of({("a", "alpha"): seconds[0], ("b", "alpha"): 1.5 * seconds[1]}, targets())
        row = resample(logs, resamples=400).intervals.iloc[-1]
        widths.append(row["score_high"] - row["score_low"])
    assert widths[1] < widths[0] / 2


def table_of(uncertainty: resampling.Uncertainty) -> list:
    return [table.to_numpy().tolist() for table in dataclasses.astuple(uncertainty) if isinstance(table, pd.DataFrame)]


@pytest.fixture
def three() -> scoring.Logs:
    generator = np.random.default_rng(3)
    names = [(submission, workload) for submission in "abc" for workload in ("alpha", "alpha_var", "beta")]
    return logs_of(
        {name: 100.0 * np.exp(0.5 * generator.standard_normal((4, 3))) for name in names},
        targets(["alpha", "beta"], ["alpha_var"], budget_sec=200.0),
    )


@pytest.mark.parametrize("rule", times.RULES)
def test_the_order_of_rows_does_not_matter(three: scoring.Logs, rule: str) -> None:
    order = np.random.default_rng(0).permutation(len(three.trials))
    trials = three.trials.iloc[order].reset_index(drop=True)
    evaluations = three.evaluations.iloc[order].assign(trial_id=np.arange(len(trials))).reset_index(drop=True)
    shuffled = dataclasses.replace(
        three, trials=trials.assign(trial_id=np.arange(len(trials))), evaluations=evaluations
    )
    assert table_of(bootstrap(shuffled, rule=rule, resamples=50)) == table_of(bootstrap(three, rule=rule, resamples=50))


def test_the_seed_decides(three: scoring.Logs) -> None:
    first, again, other = (bootstrap(three, resamples=200, seed=seed) for seed in (7, 7, 8))
    assert table_of(first) == table_of(again)
    assert table_of(first) != table_of(other)
    assert set(other.intervals["seed"]) == {8}


def test_other_submissions_do_not_change_the_draws(three: scoring.Logs) -> None:
    keep = three.trials["submission"] != "c"
    without_c = dataclasses.replace(three, trials=three.trials[keep], evaluations=three.evaluations[keep.to_numpy()])
    table = resample(three, resamples=100).workload_faster
    table = table[(table["submission"] != "c") & (table["other"] != "c")]
    assert table.to_numpy().tolist() == resample(without_c, resamples=100).workload_faster.to_numpy().tolist()


def test_probabilities_of_both_orders_add_up(three: scoring.Logs) -> None:
    uncertainty = bootstrap(three, resamples=100)
    for table, keys in ((uncertainty.faster, []), (uncertainty.workload_faster, ["workload"])):
        there = table.set_index(["submission", "other", *keys])["probability"]
        back = table.set_index(["other", "submission", *keys])["probability"]
        assert (there + back.rename_axis(there.index.names)).tolist() == pytest.approx([1.0] * len(table))
        assert len(table) == 6 * (3 if keys else 1)


def test_one_study_of_one_trial_is_certain() -> None:
    logs = logs_of({("a", "alpha"): [[100.0]], ("b", "alpha"): [[200.0]]}, targets())
    uncertainty = resample(logs, resamples=20)
    table = uncertainty.intervals.set_index("submission")
    assert table.loc["b", ["score_low", "score_high"]].tolist() == [table.loc["b", "score"]] * 2
    assert table[["rank", "rank_low", "rank_high"]].to_numpy().tolist() == [[1, 1, 1], [2, 2, 2]]
    assert uncertainty.faster.to_numpy().tolist() == [
        ["a", "b", 1.0, "documented"],
        ["b", "a", 0.0, "documented"],
    ]


def test_if_no_submission_reaches_the_target_all_are_tied() -> None:
    version = targets(["alpha", "beta"])
    logs = logs_of({("a", "alpha"): [[INF, INF]], ("b", "alpha"): [[INF], [INF]]}, version)
    uncertainty = resample(logs, resamples=20)
    assert uncertainty.intervals["rank_high"].tolist() == [1, 1]
    assert uncertainty.intervals["score_high"].tolist() == [0.0, 0.0]
    assert uncertainty.faster["probability"].tolist() == [0.5, 0.5]
    # No submission has logs of beta.
    assert uncertainty.workload_faster["probability"].tolist() == [0.5] * 4


def test_a_single_submission_has_no_pairs() -> None:
    uncertainty = resample(logs_of({("a", "alpha"): [[100.0], [INF], [120.0]]}, targets()), resamples=200)
    assert len(uncertainty.faster) == len(uncertainty.workload_faster) == 0
    # The workload is missed if at least two of three drawn studies are the missed one.
    assert uncertainty.intervals[["score_low", "score", "score_high"]].to_numpy().tolist() == [[0.0, 1.0, 1.0]]


def test_the_rules_differ_in_resamples_too(tmp_path: pathlib.Path) -> None:
    write_hit(tmp_path, "s/study_0/alpha_jax/trial_1", 120.0)
    logs = scoring.load(tmp_path, targets(budget_sec=100.0))
    found = {rule: resample(logs, rule=rule, resamples=5).intervals["score_high"].tolist() for rule in times.RULES}
    assert found == {"documented": [0.0], "official": [1.0]}


def test_trials_that_the_rule_does_not_know_are_not_drawn(tmp_path: pathlib.Path) -> None:
    write_hit(tmp_path, "s/study_0/alpha_jax/trial_1_old", 50.0)
    logs = scoring.load(tmp_path, targets())
    found = {rule: resample(logs, rule=rule, resamples=5).intervals["score_low"].tolist() for rule in times.RULES}
    assert found == {"documented": [0.0], "official": [1.0]}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"resamples": 0}, "resamples is 0; expected 1 or more"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**32}, "seed is 4294967296; expected 0 to 4294967295"),
        ({"level": 95.0}, "level is 95.0; expected a number between 0 and 1"),
        ({"rule": "best"}, "unknown choice 'best'"),
        ({"interval": "exact"}, "unknown method 'exact'; expected hierarchical, percentile"),
    ],
)
def test_invalid_arguments_are_refused(three: scoring.Logs, arguments: dict, words: str) -> None:
    with pytest.raises(scoring.ScoringError, match=words):
        bootstrap(three, **arguments)
