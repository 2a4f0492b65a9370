"""Scores as text and as CSV files."""

import json
import pathlib

import pandas as pd

from scoring.errors import ScoringError
from scoring.logs import Logs
from scoring.scores import Scores
from scoring.summaries import trial_summaries

# Longer lists are cut on the screen, never in the files.
_REASONS_SHOWN = 12


def leaderboard_text(logs: Logs, scores: Scores) -> str:
    """The leaderboard, and what was left out, as lines of text."""
    table = scores.leaderboard
    width = max(len("submission"), *(len(name) for name in table["submission"]))
    lines = [
        f"rule {scores.rule}, targets {logs.targets.version}, ruleset {logs.ruleset}, "
        f"{len(logs.targets.base_workloads)} workloads, {len(logs.trials)} trials",
        "",
        f"rank  {'submission':<{width}}   score   exact  complete",
    ]
    incomplete = set(scores.validity["submission"][~scores.validity["complete"]])
    for rank, (submission, score, exact) in enumerate(table.itertuples(index=False, name=None), 1):
        complete = "no" if submission in incomplete else "yes"
        lines.append(f"{rank:>4}  {submission:<{width}}  {score:6.4f}  {exact:6.4f}  {complete}")
    reasons = scores.findings.groupby(["kind", "reason"]).agg(count=("path", "size"), path=("path", "first"))
    reasons = reasons.sort_values("count", ascending=False, kind="stable")
    if len(reasons):
        lines.append("")
    for (kind, reason), (count, path) in list(zip(reasons.index, reasons.to_numpy(), strict=True))[:_REASONS_SHOWN]:
        others = f" and {count - 1} more" if count > 1 else ""
        lines.append(f"{kind}: {reason}{f' ({path}{others})' if path else ''}")
    if len(reasons) > _REASONS_SHOWN:
        lines.append(f"... and {len(reasons) - _REASONS_SHOWN} more reasons; --out=DIR lists all in findings.csv")
    return "\n".join(lines)


def _times_table(scores: Scores) -> pd.DataFrame:
    parts = {"time": scores.times, "counted_time": scores.counted_times, "ratio": scores.ratios}
    columns = {name: table.rename_axis(columns="workload").stack() for name, table in parts.items()}
    studies = scores.studies.groupby(["submission", "workload"]).size()
    table = pd.DataFrame({"studies": studies, **columns}).reset_index().astype({"studies": "Int64"})
    table.insert(0, "rule", scores.rule)
    unit = "steps" if scores.unit == "steps" else "sec"
    return table.rename(columns={"time": f"time_{unit}", "counted_time": f"counted_time_{unit}"})


def write_tables(logs: Logs, scores: Scores, folder: pathlib.Path) -> None:
    """Writes all tables into `folder`, which is made if need be.

    `scores.csv` has the columns `submission,score`. `times_to_target.csv` has a row per submission and workload:
    `rule`, `studies` (read), the median `time_sec`, `counted_time_sec` after the rules and `ratio` to the best; empty
    where nothing was read or the workload is not scored. `settings.json` says how the tables were made.

    Raises:
      ScoringError: the disk refuses.
    """
    tables = {
        "scores": scores.leaderboard[["submission", "score"]],
        "leaderboard": scores.leaderboard.assign(rule=scores.rule),
        "times_to_target": _times_table(scores),
        "studies": scores.studies.assign(rule=scores.rule),
        "performance_profiles": scores.profile.reset_index(),
        "trials": trial_summaries(logs, rule=scores.rule).assign(rule=scores.rule),
        "validity": scores.validity,
        "findings": scores.findings,
    }
    settings = {
        "rule": scores.rule,
        "targets": logs.targets.version,
        "ruleset": logs.ruleset,
        "unit": scores.unit,
        "logs": str(logs.folder),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            table.to_csv(folder / f"{name}.csv", index=False)
        (folder / "settings.json").write_text(json.dumps(settings, indent=2) + "\n")
    except OSError as error:
        raise ScoringError(f"{folder}: cannot be written ({error})") from error
