"""Makes the tables and figures of `docs/reading-the-2026-leaderboard.md` from the published logs of 2026.

python -m docs.generate.leaderboard_2026 --logs=DIR --write|--check

DIR is the folder with one directory per submission. `--check` writes nothing, and fails if the page differs. The logs
are not part of the project, so `python -m docs.generate` leaves these parts alone.
"""

import argparse
import dataclasses
import pathlib
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

import scoring
from docs.generate.pictures import PICTURES, ROOT, write_picture
from scoring import summaries, times
from scoring.presentation.figures import performance_profile_figure, time_heat_map_figure
from scoring.presentation.time_cells import budgets

PAGE = "docs/reading-the-2026-leaderboard.md"
EDITION = "v0.6-a100"
LANGUAGE_MODEL = "finewebedu_lm"
FRAMEWORKS = {"jax": "JAX", "pytorch": "PyTorch"}
WINDOW_SHIFT = 0.01
"""Share by which the perplexity of runs in PyTorch is raised, to see what the other windows may have been worth."""
_BLOCK = re.compile(r"(<!-- 2026: ([\w ]+): begin -->\n).*?(<!-- end -->)", re.DOTALL)


def load(folder: pathlib.Path) -> scoring.Logs:
    """The logs, with the targets of their edition."""
    return scoring.load(folder, EDITION, ruleset="self")


def step_times(logs: scoring.Logs) -> Any:
    """Seconds per step: index `workload`, a column per framework, medians over its submissions; and `ratio`."""
    frameworks = logs.trials.drop_duplicates(["submission", "workload"]).set_index(["submission", "workload"])[
        "framework"
    ]
    table = pd.DataFrame({"framework": frameworks, "seconds": summaries.step_times(logs)}).reset_index()
    found = pd.DataFrame(table.pivot_table(index="workload", columns="framework", values="seconds", aggfunc="median"))
    return found.assign(ratio=found["pytorch"] / found["jax"])


def evaluations(logs: scoring.Logs) -> Any:
    """Seconds per evaluation but for the first of a trial, and the share of evaluation in the time of a trial.

    Returns:
      Index `workload`; columns (`seconds` or `share`, framework), medians over evaluations and over trials.
    """
    trial = logs.evaluations["trial_id"].to_numpy()
    keys = logs.trials[["workload", "framework"]]
    each = keys.iloc[trial].reset_index(drop=True)
    each["seconds"] = logs.evaluations.groupby("trial_id")["evaluation_time_sec"].diff().to_numpy()
    last = logs.evaluations.groupby("trial_id").last()
    spent = last["evaluation_time_sec"].to_numpy()
    whole = keys.assign(share=spent / (spent + last["submission_time_sec"].to_numpy()))
    parts: dict[str, Any] = {"seconds": each, "share": whole}
    keyed = {name: table.set_index(["workload", "framework"])[name] for name, table in parts.items()}
    return pd.concat({name: values.groupby(level=[0, 1]).median().unstack() for name, values in keyed.items()}, axis=1)


def ends(logs: scoring.Logs) -> Any:
    """Number of trials with evaluations, that reach the target, and that end early: columns (count, framework)."""
    table = logs.trials[["workload", "framework"]].assign(
        trials=1,
        reached=np.isfinite(times.first_hits(logs)["hit_time_sec"].to_numpy()).astype(int),
        early=summaries.ended_early(logs).astype(int),
    )
    sums: Any = table.groupby(["workload", "framework"]).sum()
    return sums.unstack("framework")


def quanta(logs: scoring.Logs) -> Any:
    """How coarse times to target are.

    Returns:
      Index `workload`: `period_sec` between evaluations by the rules, `between_sec` (median time on the clock between
      two evaluations) and `of_best`, the period as a share of the best time to target; NaN if nobody reaches the
      target.
    """
    workloads = logs.trials["workload"].to_numpy()[logs.evaluations["trial_id"].to_numpy()]
    between = logs.evaluations.groupby("trial_id")["submission_time_sec"].diff()
    best = scoring.score(logs).times.min().replace(np.inf, np.nan)
    table = pd.DataFrame({"between_sec": between.groupby(workloads).median()})
    table.insert(
        0, "period_sec", [float(logs.targets.workloads[name].eval_period_sec or np.nan) for name in table.index]
    )
    return table.assign(of_best=table["period_sec"] / best)


def judged_windows(*, batch_size: int, num_batches: int, num_windows: int, ranks: int) -> Counter[int]:
    """How often an evaluation sees each validation window, if the stream is cut before it is divided over processes.

    The first `num_batches` batches of `batch_size` windows are repeated for ever; process `r` of `ranks` takes batches
    r, r + ranks, r + 2 ranks, ... of this stream, `num_batches` of them.
    """
    seen: Counter[int] = Counter()
    for rank in range(ranks):
        for number in range(num_batches):
            batch = (rank + number * ranks) % num_batches
            first = batch * batch_size
            seen.update(range(first, min(first + batch_size, num_windows)))
    return seen


def with_other_windows(logs: scoring.Logs) -> scoring.Logs:
    """The logs with the language model's perplexities in PyTorch raised by `WINDOW_SHIFT`.

    A run ends when it reaches its target. If it does not any more, it gets one more evaluation, a period later, at
    which it does: it has then lost as little as it can.
    """
    trials, target = logs.trials, logs.targets.workloads[LANGUAGE_MODEL]
    raised = (trials["workload"].eq(LANGUAGE_MODEL) & trials["framework"].eq("pytorch")).to_numpy()
    factor = np.where(raised[logs.evaluations["trial_id"].to_numpy()], 1.0 + WINDOW_SHIFT, 1.0)
    changed = dataclasses.replace(
        logs, evaluations=logs.evaluations.assign(validation=logs.evaluations["validation"] * factor)
    )
    hit = [np.isfinite(times.first_hits(one)["hit_row"].to_numpy()) for one in (logs, changed)]
    lost = hit[0] & ~hit[1]
    last: Any = changed.evaluations.groupby("trial_id").tail(1)
    more = last[lost[last["trial_id"].to_numpy()]]
    more = more.assign(
        row=more["row"] + 1,
        submission_time_sec=more["submission_time_sec"] + target.eval_period_sec,
        validation=target.validation_target,
    )
    return dataclasses.replace(
        changed,
        trials=trials.assign(evaluations=trials["evaluations"] + lost),
        evaluations=pd.concat([changed.evaluations, more]).sort_values(["trial_id", "row"], ignore_index=True),
    )


def _step_times_text(logs: scoring.Logs) -> str:
    rows = [
        (row.Index, f"{row.jax:.3f}", f"{row.pytorch:.3f}", f"{row.ratio:.2f}") for row in step_times(logs).itertuples()
    ]
    return _table(["workload", "JAX, s per step", "PyTorch, s per step", "PyTorch : JAX"], rows)


def _evaluation_text(logs: scoring.Logs) -> str:
    table = evaluations(logs)
    headings = [
        f"{name}, {what}" for what in ("s per evaluation", "share of the trial") for name in FRAMEWORKS.values()
    ]
    rows = [
        (
            workload,
            *(f"{table.at[workload, ('seconds', name)]:.1f}" for name in FRAMEWORKS),
            *(f"{table.at[workload, ('share', name)]:.0%}" for name in FRAMEWORKS),
        )
        for workload in table.index
    ]
    return _table(["workload", *headings], rows)


def _ends_text(logs: scoring.Logs) -> str:
    table = ends(logs)
    headings = [
        f"{name}: {what}" for name in FRAMEWORKS.values() for what in ("trials", "reach the target", "end early")
    ]
    rows = [
        (
            workload,
            *(f"{table.at[workload, (what, name)]}" for name in FRAMEWORKS for what in ("trials", "reached", "early")),
        )
        for workload in table.index
    ]
    sums = table.sum()
    rows.append(("all", *(f"{sums[what, name]}" for name in FRAMEWORKS for what in ("trials", "reached", "early"))))
    reached = table["reached"]
    nobody = reached.index[reached.sum(axis=1) == 0]
    lines = [f"Nobody reaches {_names(nobody)}."]
    for framework, shown in FRAMEWORKS.items():
        missed = reached.index[(reached[framework] == 0) & (reached.sum(axis=1) > 0)]
        lines.append(f"In {shown} nobody reaches {_names(missed)}, which others do.")
    left_out = logs.findings["reason"].tolist().count("no eval_measurements.csv")
    lines.append(f"{left_out} more trials were never evaluated.")
    return f"{_table(['workload', *headings], rows)}\n{' '.join(lines)}\n"


def _quanta_text(logs: scoring.Logs) -> str:
    rows = [
        (
            row.Index,
            f"{row.period_sec:,.0f}",
            f"{row.between_sec:,.0f}",
            "nobody" if np.isnan(row.of_best) else f"{row.of_best:.0%}",
        )
        for row in quanta(logs).itertuples()
    ]
    return _table(["workload", "period, s", "between evaluations, s", "period : best time to target"], rows)


def _windows_text(logs: scoring.Logs) -> str:
    del logs  # a simulation of the published rule
    cases = {
        "JAX, batches of 256": judged_windows(batch_size=256, num_batches=391, num_windows=100_096, ranks=1),
        "PyTorch, 4 processes with batches of 64": judged_windows(
            batch_size=64, num_batches=391, num_windows=100_096, ranks=4
        ),
    }
    rows = [(name, f"{len(seen):,}", " or ".join(map(str, sorted(set(seen.values()))))) for name, seen in cases.items()]
    return _table(["evaluation", "different windows", "times each"], rows)


def _other_windows_text(logs: scoring.Logs) -> str:
    before, after = (scoring.score(one) for one in (logs, with_other_windows(logs)))
    scores: Any = [one.leaderboard.set_index("submission")["score"] for one in (before, after)]
    rows, shift = [], f"{WINDOW_SHIFT:.0%}".replace("%", " %")
    for name in scores[0].index:
        old, new = (one.times.at[name, LANGUAGE_MODEL] for one in (before, after))
        if old != new or abs(scores[0][name] - scores[1][name]) > 5e-5:
            rows.append((name, f"{old:,.0f}", f"{new:,.0f}", f"{scores[0][name]:.4f}", f"{scores[1][name]:.4f}"))
    return _table(["submission", "time, s", f"with {shift} more", "score", f"with {shift} more"], rows)


BLOCKS: Mapping[str, Callable[[scoring.Logs], str]] = {
    "step times": _step_times_text,
    "evaluation": _evaluation_text,
    "ends of trials": _ends_text,
    "periods": _quanta_text,
    "windows": _windows_text,
    "other windows": _other_windows_text,
}


def filled(text: str, logs: scoring.Logs) -> str:
    """The page with all its generated parts."""
    return _BLOCK.sub(lambda match: f"{match[1]}\n{BLOCKS[match[2]](logs)}\n{match[3]}", text)


def draw(logs: scoring.Logs, folder: pathlib.Path) -> None:
    """Writes the figures of the page into a folder."""
    scores = scoring.score(logs)
    figures = {
        "profiles": performance_profile_figure(scores),
        "times": time_heat_map_figure(scores, budgets(logs, scores)),
    }
    for name, figure in figures.items():
        path = folder / f"leaderboard_2026_{name}.png"
        figure.savefig(path, dpi=120, metadata={"Software": None})
        write_picture(path, path)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m docs.generate.leaderboard_2026", description=__doc__)
    parser.add_argument("--logs", type=pathlib.Path, required=True, help="folder with one directory per submission")
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--write", action="store_true", help="write the page and its figures")
    choice.add_argument("--check", action="store_true", help="exit with code 1 if the page is not up to date")
    options = parser.parse_args(arguments)
    logs = load(options.logs)
    page = ROOT / PAGE
    text = filled(page.read_text(), logs)
    if options.check:
        return int(text != page.read_text())
    page.write_text(text)
    draw(logs, PICTURES)
    return 0


def _names(workloads: Sequence[str]) -> str:
    return " and ".join(f"`{name}`" for name in workloads)


def _table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(map(str, cells))} |\n" for cells in lines)


if __name__ == "__main__":
    sys.exit(main())
