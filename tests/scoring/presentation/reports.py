"""A small set of scores with every kind of result, and a report of it."""

import pathlib

import scoring
from scoring.presentation.charts import profile_chart, time_heat_map
from scoring.presentation.curve_charts import learning_curve_charts
from scoring.presentation.html_report import html_report
from scoring.presentation.report_table import ReportTable
from scoring.presentation.time_cells import budgets
from tests.scoring.log_trees import targets, write_hit, write_trial

HOSTILE = "<script>alert(1)<x>"
# Seconds in every study, None for a miss; a submission without an entry has no logs.
TIMES: dict[str, dict[str, float | None]] = {
    "fast": {"alpha": 100.0, "beta": 300.0, "alpha_variant": 100.0},
    "late": {"alpha": 150.0, "beta": 600.0, "alpha_variant": None},
    "slow": {"alpha": 500.0, "beta": None, "alpha_variant": 120.0},
    HOSTILE: {"beta": 400.0},
}


def small_logs(root: pathlib.Path) -> scoring.Logs:
    """Two base workloads, one held-out variant of the first, three studies of two trials, budgets of 1000 s."""
    for submission, times in TIMES.items():
        for workload, time in times.items():
            for study in range(3):
                folder = f"{submission}/study_{study}/{workload}_jax"
                write_hit(root, f"{folder}/trial_1", None if time is None else time + study)
                write_trial(root, f"{folder}/trial_2", [(1.0, 9.0), (500.0, 1.0), (900.0, 0.8)])
    by_hand = targets(["alpha", "beta"], ["alpha_variant"], budget_sec=1000.0, trials=2)
    return scoring.load(root, by_hand)


# Names of at least 40 letters: with the widest letters, with words, and with nowhere to break.
LONG = (
    "schedule_free_adamw_with_warmup_and_cosine_decay_v2_final",
    "prize_qualification_baseline_external_tuning_jax_8xV100",
    "WWWWWWWWWWMMMMMMMMMMWWWWWWWWWWMMMMMMMMMMWWWWWWWW",
    "a name with several words that can be wrapped between them",
    "n" * 200,
    "\N{CJK UNIFIED IDEOGRAPH-6F22}" * 45,
    "short",
)
WORKLOADS = (
    "librispeech_conformer_attention_temperature",
    *(f"imagenet_resnet_{number}" for number in range(8)),
    "wmt",
)


def long_logs(root: pathlib.Path) -> scoring.Logs:
    """Seven submissions of long names on ten workloads, each with hits and misses."""
    for number, submission in enumerate(LONG):
        for other, workload in enumerate(WORKLOADS):
            time = None if (number + other) % 5 == 4 else 100.0 + 50.0 * number + 7.0 * other
            write_hit(root, f"{submission}/study_0/{workload}_jax/trial_1", time)
    return scoring.load(root, targets(WORKLOADS, budget_sec=1000.0))


def report_tables(scores: scoring.Scores) -> list[ReportTable]:
    """Leaderboard, times, studies and findings."""
    times = scores.times.reset_index().melt("submission", var_name="workload", value_name="seconds")
    return [
        ReportTable(
            "leaderboard",
            "Leaderboard",
            "Scores from 0 to 1: the mean height of the performance profile.",
            scores.leaderboard,
            {"score": ".4f", "exact_score": ".4f"},
        ),
        ReportTable("times", "Times to target", "Medians over studies, seconds.", times, {"seconds": ".1f"}),
        ReportTable("studies", "Studies", "What each study contributes, seconds.", scores.studies, {"value": ".1f"}),
        ReportTable("findings", "Findings", "What was left out, repaired or noted.", scores.findings),
    ]


def report(logs: scoring.Logs, scores: scoring.Scores) -> str:
    """The whole report."""
    charts = [
        profile_chart(scores),
        time_heat_map(scores, budgets(logs, scores)),
        *learning_curve_charts(logs, scores),
    ]
    settings = {
        "targets": logs.targets.version,
        "ruleset": logs.ruleset,
        "rule": scores.rule,
        "submissions": str(len(scores.leaderboard)),
        "trials": str(len(logs.trials)),
    }
    return html_report("AlgoPerf scores", settings, report_tables(scores), charts)
