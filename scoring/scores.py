"""From logs to the leaderboard."""

import dataclasses
from collections.abc import Sequence

import pandas as pd

from scoring import profiles
from scoring.log_tables import Finding
from scoring.logs import Logs, findings_table
from scoring.summaries import ended_early, validity
from scoring.times import counted_times, first_hits, medians, study_times, within_budget


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores and the tables behind them; times are seconds of submission time, or steps.

    Attributes:
      rule: "documented" or "official".
      unit: "seconds" or "steps".
      scale: "linear", or "log" for a profile over the logarithm of ratios.
      leaderboard: `submission`, `score` (mean height of the profile on the grid of 100 ratios, the published score),
        `exact_score` (integrated exactly); the best first, ties by name.
      studies: what each study contributes, as in `times.study_times`.
      times: medians over studies, index `submission`, a column for every workload read; infinite for a miss, NaN if
        never read.
      counted_times: times on base workloads after the rules on held-out and slow workloads.
      ratios: `counted_times` divided by the best of each workload.
      profile: share of workloads within each ratio, index `submission`, a column per ratio.
      validity: whether the logs are complete, as in `summaries.validity`.
      findings: `kind`, `path`, `row`, `reason`: what was left out, repaired or noted, in the logs and here.
    """

    rule: str
    unit: str
    scale: str
    leaderboard: pd.DataFrame
    studies: pd.DataFrame
    times: pd.DataFrame
    counted_times: pd.DataFrame
    ratios: pd.DataFrame
    profile: pd.DataFrame
    validity: pd.DataFrame
    findings: pd.DataFrame


def _new_findings(logs: Logs, times: pd.DataFrame, rule: str) -> pd.DataFrame:
    found = []
    hits = first_hits(logs)
    late = hits[~within_budget(hits, logs)]
    consequence = "a miss" if rule == "documented" else "counts, as the official rule checks no budget"
    found += [
        Finding("noted", path, None, f"reaches the target after the budget: {consequence}") for path in late["path"]
    ]
    early = logs.trials["path"][ended_early(logs)]
    reason = "ended early: target not reached, and budget left for several evaluations"
    found += [Finding("noted", path, None, reason) for path in early]
    targets = logs.targets
    scored = {*targets.base_workloads, *targets.held_out_workloads}
    found += [
        Finding("noted", "", None, f"no submission has logs of {workload}: a miss for all")
        for workload in sorted(scored - set(times.columns))
    ]
    # If no workload is held out, the official rule treats every other workload as held out.
    takes_all = rule == "official" and not targets.held_out_workloads
    for workload in sorted(set(times.columns) - scored):
        treatment = "treated as held out, since none is named" if takes_all else "not scored"
        found.append(Finding("noted", "", None, f"{workload}: {treatment} with the targets {targets.version}"))
    return findings_table(found)


def score(
    logs: Logs,
    *,
    rule: str = "documented",
    ties: str | Sequence[str] = "fastest",
    unit: str = "seconds",
    scale: str = "linear",
    max_ratio: float | None = profiles.MAX_RATIO,
    points: int = profiles.POINTS,
    reference: str | None = None,
) -> Scores:
    """Scores every submission in the logs against the others.

    Args:
      logs: from `load`.
      rule: "documented" (a study counts with its fastest trial) or "official" (with the trial that hits the target in
        the earliest row), see `times`.
      ties: how the official rule breaks ties: "fastest", "name", or paths of trials in order of preference.
      unit: "seconds" of submission time, or "steps".
      scale: "linear", or "log" for a profile over the logarithm of ratios (`exact_score` stays linear).
      max_ratio: where the profile ends; None for the largest ratio that occurs.
      points: number of ratios of the grid.
      reference: submission by whose times all are divided, instead of by the best; ratios below 1 count as 1.

    Raises:
      ScoringError: the rule, ties, unit or reference is unknown.
    """
    studies = study_times(logs, rule=rule, ties=ties, unit=unit)
    times = medians(studies).reindex(sorted(logs.trials["submission"].unique()))
    counted = counted_times(times, logs.targets, empty_means_all=rule == "official")
    ratios = profiles.performance_ratios(counted, reference)
    end = profiles.largest_ratio(ratios) if max_ratio is None else max_ratio
    profile = profiles.performance_profile(ratios, profiles.ratio_grid(end, points, scale=scale))
    leaderboard = pd.DataFrame(
        {
            "score": profiles.grid_scores(profile, scale=scale),
            "exact_score": profiles.exact_scores(ratios, end),
        }
    )
    leaderboard = leaderboard.rename_axis("submission").reset_index()
    return Scores(
        rule=rule,
        unit=unit,
        scale=scale,
        leaderboard=leaderboard.sort_values(["score", "submission"], ascending=[False, True], ignore_index=True),
        studies=studies,
        times=times,
        counted_times=counted,
        ratios=ratios,
        profile=profile,
        validity=validity(logs),
        findings=pd.concat([logs.findings, _new_findings(logs, times, rule)], ignore_index=True),
    )
