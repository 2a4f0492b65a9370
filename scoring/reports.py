"""The report on a folder of logs: the leaderboard, and the tables behind it."""

import dataclasses
from collections.abc import Sequence

import pandas as pd

from scoring import comparisons, resampling, rules
from scoring.errors import ScoringError
from scoring.intervals import DEFAULT, METHODS
from scoring.log_tables import Finding
from scoring.logs import Logs, findings_table
from scoring.machines import machines
from scoring.presentation.report_table import ReportTable
from scoring.presentation.table_formats import to_text
from scoring.scores import Scores
from scoring.summaries import trial_summaries
from scoring.usage import usage

BASELINE = "baseline"
# Longer lists are cut on the screen, but never in the files.
_REASONS_SHOWN = 12
_SCORE, _SECONDS, _SHARE = ".4f", ",.0f", ".1%"


@dataclasses.dataclass(frozen=True)
class Report:
    """Scores and everything else that is computed from the logs.

    Attributes:
      logs: what was scored.
      scores: of these logs.
      by_steps_and_time: as in `comparisons.by_steps_and_time`.
      uncertainty: intervals from draws, or None if there are none.
      speedups: over a baseline, or None if the logs have no such submission.
      usage: resources that the runs used, as in `usage.usage`.
      findings: `scores.findings` and those on damaged meta data.
      settings: how everything was computed, name -> value.
    """

    logs: Logs
    scores: Scores
    by_steps_and_time: pd.DataFrame
    uncertainty: resampling.Uncertainty | None
    speedups: comparisons.Speedups | None
    usage: pd.DataFrame
    findings: pd.DataFrame
    settings: dict[str, str]


def make_report(
    logs: Logs,
    scores: Scores,
    *,
    ties: str | Sequence[str] = "fastest",
    interval: str = DEFAULT,
    resamples: int = 1000,
    seed: int = 0,
    baseline: str | None = None,
    devices: float | None = None,
    price_per_device_hour: float | None = None,
) -> Report:
    """Computes the rest of a report on `scores`.

    Args:
      logs: from `load`.
      scores: of these logs.
      ties: how `scores` broke ties.
      interval: method of the intervals, one of `intervals.METHODS`.
      resamples: number of draws for intervals of scores and ranks; 0 for no intervals, which are those of scores
        in seconds.
      seed: seed of the draws.
      baseline: submission that speedups are relative to; None for the one called "baseline", if there is one and the
        scores are in seconds.
      devices: number of devices of each run; None for the number in the meta data.
      price_per_device_hour: price in any currency, or None.

    Raises:
      ScoringError: there is no such baseline, a number is out of range, or intervals or speedups are wanted for scores
        in steps.
    """
    if resamples and scores.unit != "seconds":
        raise ScoringError(f"intervals are those of scores in seconds, and these are in {scores.unit}; ask for none")
    known = machines(logs)
    damaged = known["problem"].notna()
    problems = zip(logs.trials["path"][damaged], known["problem"][damaged], strict=True)
    if baseline is None and BASELINE in scores.times.index and scores.unit == "seconds":
        baseline = BASELINE
    settings = {
        "rule": scores.rule,
        "ties": ties if isinstance(ties, str) else "in a given order",
        "targets": logs.targets.version,
        "ruleset": logs.ruleset,
        "unit": scores.unit,
        "logs": str(logs.folder),
        "interval": interval,
        "resamples": str(resamples),
        "seed": str(seed),
        "baseline": baseline or "none",
        "devices": "as logged" if devices is None else f"{devices:g}",
    }
    return Report(
        logs=logs,
        scores=scores,
        by_steps_and_time=comparisons.by_steps_and_time(logs, rule=scores.rule, ties=ties),
        uncertainty=None
        if resamples == 0
        else resampling.bootstrap(logs, rule=scores.rule, ties=ties, interval=interval, resamples=resamples, seed=seed),
        speedups=None if baseline is None else comparisons.speedup_table(logs, scores, baseline),
        usage=usage(
            logs,
            rule=scores.rule,
            devices=pd.Series(known["devices"]) if devices is None else devices,
            price_per_device_hour=price_per_device_hour,
        ),
        findings=pd.concat(
            [scores.findings, findings_table([Finding("noted", path, None, problem) for path, problem in problems])],
            ignore_index=True,
        ),
        settings=settings,
    )


def leaderboard(scores: Scores, uncertainty: resampling.Uncertainty | None = None) -> ReportTable:
    """Ranks and scores, with intervals if there are any."""
    table = scores.leaderboard.copy()
    table.insert(0, "rank", rules.ranks(table["score"].to_numpy()))
    formats = {"score": _SCORE, "exact_score": _SCORE}
    caption = "score: mean height of the performance profile on the grid of 100 ratios; exact_score: integrated exactly"
    if uncertainty is not None:
        intervals = uncertainty.intervals.set_index("submission").loc[table["submission"]]
        for at, name in enumerate(("score_low", "score_high", "rank_low", "rank_high"), 3):
            table.insert(at, name, intervals[name].to_numpy())
        formats |= {"score_low": _SCORE, "score_high": _SCORE}
        caption += (
            f"; low and high: {uncertainty.level:.0%} intervals by the method {uncertainty.method}: "
            f"{uncertainty.resamples} {METHODS[uncertainty.method]}"
        )
    complete = scores.validity.groupby("submission")["complete"].all()
    table["complete"] = complete.loc[table["submission"]].to_numpy()
    caption += "; complete: every scored workload has all its studies and trials"
    return ReportTable("leaderboard", "Leaderboard", f"{caption}. Rule: {scores.rule}.", table, formats)


def reasons(findings: pd.DataFrame) -> pd.DataFrame:
    """Groups findings by `kind` and `reason`, with `count` and the `path` of the first; the most frequent first."""
    grouped = findings.groupby(["kind", "reason"]).agg(count=("path", "size"), path=("path", "first"))
    return grouped.sort_values("count", ascending=False, kind="stable").reset_index()


def leaderboard_text(
    logs: Logs,
    scores: Scores,
    uncertainty: resampling.Uncertainty | None = None,
    findings: pd.DataFrame | None = None,
) -> str:
    """The leaderboard, and what was left out, as lines of text.

    Args:
      logs: from `load`.
      scores: of these logs.
      uncertainty: intervals of the scores, if there are any.
      findings: findings of a report; None for those of `scores`.
    """
    table = to_text(leaderboard(scores, uncertainty)).splitlines()
    # The title and the caption are for readers of files.
    start = next(at for at, line in enumerate(table) if line.split()[:1] == ["rank"])
    end = next(at for at, line in enumerate(table) if line.startswith("score: "))
    lines = [
        f"rule {scores.rule}, targets {logs.targets.version}, ruleset {logs.ruleset}, "
        f"{len(logs.targets.base_workloads)} workloads, {len(logs.trials)} trials"
        + (", by steps" if scores.unit == "steps" else ""),
        "",
        *(line for line in table[start:end] if line.strip("- ")),
    ]
    found = reasons(scores.findings if findings is None else findings)
    if len(found):
        lines.append("")
    for kind, reason, count, path in found.head(_REASONS_SHOWN).itertuples(index=False, name=None):
        others = f" and {count - 1} more" if count > 1 else ""
        lines.append(f"{kind}: {reason}{f' ({path}{others})' if path else ''}")
    if len(found) > _REASONS_SHOWN:
        lines.append(f"... and {len(found) - _REASONS_SHOWN} more reasons; --out=DIR lists all in findings.csv")
    return "\n".join(lines)


def _times(scores: Scores) -> ReportTable:
    parts = {"time": scores.times, "counted_time": scores.counted_times, "ratio": scores.ratios}
    columns = {name: table.rename_axis(columns="workload").stack() for name, table in parts.items()}
    studies = scores.studies.groupby(["submission", "workload"]).size()
    table = pd.DataFrame({"studies": studies, **columns}).reset_index().astype({"studies": "Int64"})
    unit = "steps" if scores.unit == "steps" else "sec"
    names = {"time": f"time_{unit}", "counted_time": f"counted_time_{unit}"}
    table = table.rename(columns=names)
    return ReportTable(
        "times_to_target",
        "Times to target",
        f"{names['time']}: median over studies; {names['counted_time']}: after the rules on held-out and slow "
        "workloads; ratio: to the best. Empty where nothing was read or the workload is not scored.",
        table,
        {**dict.fromkeys(names.values(), _SECONDS), "ratio": ".3f"},
    )


def _by_steps_and_time(table: pd.DataFrame) -> ReportTable:
    return ReportTable(
        "leaderboard_by_steps_and_time",
        "The leaderboard by steps and by time",
        "by_steps: as if all steps took equally long; rank_shift: rank by time minus rank by steps, so that a negative "
        "number means that fast steps helped.",
        table,
        dict.fromkeys(("score_by_steps", "score_by_time"), _SCORE) | {"rank_shift": "+d"},
    )


def _uncertainty_tables(uncertainty: resampling.Uncertainty) -> list[ReportTable]:
    intervals = uncertainty.intervals.drop(columns=["rule", "method", "level", "resamples", "seed"])
    scores = {name: _SCORE for name in intervals.columns if "score" in name}
    return [
        ReportTable(
            "intervals",
            "Intervals of scores and ranks",
            f"Low and high: {uncertainty.level:.0%} intervals by the method {uncertainty.method}: "
            f"{uncertainty.resamples} {METHODS[uncertainty.method]}.",
            intervals,
            scores,
        ),
        ReportTable(
            "faster",
            "How certain is it that one submission is ahead of another?",
            "probability: share of draws in which the score of submission is higher than that of other; ties "
            "count half.",
            uncertainty.faster.drop(columns="rule"),
            {"probability": ".3f"},
        ),
        ReportTable(
            "workload_faster",
            "How certain is it that one submission is faster than another on a workload?",
            "probability: share of draws in which the median time to target of submission is shorter than that of "
            "other; ties and two misses count half.",
            uncertainty.workload_faster.drop(columns="rule"),
            {"probability": ".3f"},
        ),
    ]


def _speedup_tables(speedups: comparisons.Speedups) -> list[ReportTable]:
    over = f"over {speedups.baseline}"
    return [
        ReportTable(
            "speedup_means",
            f"Speedups {over}, means",
            f"Means over workloads of the time of {speedups.baseline} divided by that of the submission, 2 for twice "
            "as fast; percent_faster: by how much the geometric mean of the time ratios is below 1.",
            speedups.means,
            dict.fromkeys(("geometric_mean", "arithmetic_mean", "harmonic_mean"), ".3f") | {"percent_faster": ".1f"},
        ),
        ReportTable(
            "speedups",
            f"Speedups {over}",
            "speedup: baseline_time_sec divided by time_sec (medians, seconds). A miss counts as the budget plus one "
            "second; the rules on held-out and slow workloads are not applied.",
            speedups.workloads,
            {"time_sec": _SECONDS, "baseline_time_sec": _SECONDS, "budget_sec": _SECONDS, "speedup": ".3f"},
        ),
    ]


def report_tables(report: Report) -> list[ReportTable]:
    """The tables of a report, the leaderboard first; long and detailed ones are in `detail_tables`."""
    scores, left_out = report.scores, comparisons.leave_one_out(report.scores)
    contributions = comparisons.contributions(scores)
    shares = {name: _SCORE if "contribution" in name else _SHARE for name in contributions.columns[3:]}
    usage_formats = dict.fromkeys(("steps", "steps_to_target"), ",.0f") | {"step_time_sec": ".4f"}
    shares_of_time = ("submission_share", "evaluation_share", "logging_share", "median_evaluation_share")
    usage_formats |= dict.fromkeys(shares_of_time, _SHARE)
    usage_formats |= dict.fromkeys(("submission_hours", "total_hours", "device_hours", "energy_kwh"), ",.2f")
    usage_formats |= {"cost": ",.2f"} if "cost" in report.usage.columns else {}
    return [
        leaderboard(scores, report.uncertainty),
        _times(scores),
        _by_steps_and_time(report.by_steps_and_time),
        *([] if report.uncertainty is None else _uncertainty_tables(report.uncertainty)),
        *([] if report.speedups is None else _speedup_tables(report.speedups)),
        ReportTable(
            "contributions",
            "What each workload contributes",
            "contribution: part of the score, on the grid; share: of the score; exact_: integrated exactly.",
            contributions,
            {"ratio": ".3f", **shares},
        ),
        ReportTable(
            "leave_one_out_changes",
            "Ranks without one workload",
            "ranks_changed: number of submissions whose rank changes if the workload is left out; "
            "largest_score_change: absolute value.",
            left_out.changes,
            {"largest_score_change": _SCORE},
        ),
        ReportTable(
            "leave_one_out",
            "Scores without one workload",
            "Scores and ranks over all workloads but left_out; changes are relative to those with all.",
            left_out.scores,
            {"score": _SCORE, "exact_score": _SCORE, "score_change": "+.4f"},
        ),
        ReportTable(
            "usage",
            "Resources that the runs used",
            "Sums over all trials up to their last evaluation; shares of wall time; step_time_sec: median, seconds; "
            "device_hours: wall time times devices; median_evaluation_share: over trials, of evaluation and submission "
            "time.",
            report.usage,
            usage_formats,
        ),
        ReportTable(
            "validity",
            "Are the logs complete?",
            "Studies and trials read and expected; ended_early: number of trials that ended without reaching the "
            "target and with budget left.",
            scores.validity,
        ),
        ReportTable(
            "reasons",
            "What was left out, repaired or noted",
            "path: the first such path; findings.csv lists all.",
            reasons(report.findings),
        ),
    ]


def detail_tables(report: Report) -> list[ReportTable]:
    """Long tables, for files only: `studies`, `trials`, `performance_profiles`, `findings`."""
    scores = report.scores
    details = {
        "studies": scores.studies,
        "trials": trial_summaries(report.logs, rule=scores.rule),
        "performance_profiles": scores.profile.reset_index(),
        "findings": report.findings,
    }
    return [ReportTable(name, name, "", table) for name, table in details.items()]
