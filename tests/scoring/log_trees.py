"""Small log trees and targets, written by hand."""

import pathlib
from collections.abc import Sequence

from scoring.targets import Targets, WorkloadTarget

COLUMNS = ("global_step", "score", "total_duration", "validation/loss")
FILE = "eval_measurements.csv"


def targets(
    base: Sequence[str] = ("alpha",), held_out: Sequence[str] = (), budget_sec: float | None = None, **numbers: float
) -> Targets:
    """Loss to 0.5 on every workload, 3 studies of 5 trials."""
    return Targets(
        version="by hand",
        base_workloads=tuple(base),
        held_out_workloads=tuple(held_out),
        studies=int(numbers.get("studies", 3)),
        trials=int(numbers.get("trials", 5)),
        self_tuning_budget_factor=numbers.get("self_tuning_budget_factor", 1.5),
        workloads={name: WorkloadTarget("loss", "min", 0.5, budget_sec=budget_sec) for name in (*base, *held_out)},
    )


def write_text(root: pathlib.Path, trial: str, text: str) -> pathlib.Path:
    """Writes the evaluations of `trial`, "submission/study/workload_framework/trial_k"."""
    folder = root / trial
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(text)
    return folder / FILE


def write_trial(root: pathlib.Path, trial: str, rows: Sequence[tuple[float, float]]) -> pathlib.Path:
    """Writes evaluations of given time and validation loss, at steps 1, 11, 21 and so on."""
    lines = [f"{1 + 10 * number},{time},{time + 1},{loss}" for number, (time, loss) in enumerate(rows)]
    return write_text(root, trial, "\n".join([",".join(COLUMNS), *lines]) + "\n")


def write_hit(root: pathlib.Path, trial: str, time: float | None) -> pathlib.Path:
    """Writes a trial that reaches the target in its second evaluation, or never."""
    return write_trial(root, trial, [(1.0, 9.0), (1000.0, 9.0)] if time is None else [(1.0, 9.0), (time, 0.4)])
