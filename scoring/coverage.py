"""Measures how often the intervals of each method hold the true score and the true rank, in simulated benchmarks.

python -m scoring.coverage [--quick] [--experiments=100] [--draws=400] [--seed=0] [--method=METHOD ...]

For each of `simulation.DESIGNS`, each experiment draws new submissions, whose true scores are known, simulates studies
of them, and computes the 95 % intervals. The tables are those of docs/scoring.md.
"""

import dataclasses
import sys
from collections.abc import Sequence

import numpy as np
import pandas as pd

from scoring import intervals, rules, simulation
from scoring.command_line import Parser
from scoring.errors import ScoringError
from scoring.intervals import METHODS, Studies
from scoring.targets import Targets

EXPERIMENTS, DRAWS, SEED, LEVEL = 100, 400, 0, 0.95
_QUICK_EXPERIMENTS, _QUICK_DRAWS = 2, 40
# Experiments whose average score is the expected one.
_REPETITIONS = 100
# Sums of the same numbers in another order differ by less.
_ROUNDING = 1e-9


def _names(design: simulation.Design) -> tuple[list[str], list[str]]:
    return [f"s{n:02}" for n in range(design.submissions)], [f"w{n:02}" for n in range(design.workloads)]


def _targets(workloads: Sequence[str]) -> Targets:
    return Targets("simulated", tuple(workloads), (), 3, 5, 1.0, {})


def _scores(times: np.ndarray, workloads: Sequence[str]) -> np.ndarray:
    """Exact scores, [..., submissions], of medians [..., submissions, workloads]."""
    return rules.exact_scores(rules.performance_ratios(rules.counted_times(times, workloads, _targets(workloads))))


@dataclasses.dataclass(frozen=True)
class Truth:
    """What an experiment is about: true scores, ranks and expected scores, each [submissions]."""

    scores: np.ndarray
    ranks: np.ndarray
    expected: np.ndarray


def _truth(world: simulation.World, workloads: Sequence[str], generator: np.random.Generator) -> Truth:
    scores = _scores(simulation.true_medians(world), workloads)
    repeated = np.stack([_medians(simulation.experiment(world, generator)) for _ in range(_REPETITIONS)])
    return Truth(scores, rules.ranks(scores), _scores(repeated, workloads).mean(axis=0))


def _medians(trials: np.ndarray) -> np.ndarray:
    return np.median(trials.min(axis=-1), axis=-1)


def _one_experiment(
    design: simulation.Design, methods: Sequence[str], draws: int, generator: np.random.Generator
) -> list[dict[str, float]]:
    submissions, workloads = _names(design)
    world = simulation.world(design, generator)
    trials = np.sort(simulation.experiment(world, generator), axis=-1)
    truth = _truth(world, workloads, generator)
    numbers = np.full(design.studies, design.trials)
    cells = {
        (submission, workload): Studies(trials[s, w], numbers)
        for s, submission in enumerate(submissions)
        for w, workload in enumerate(workloads)
    }
    read, seed = _scores(_medians(trials), workloads), int(generator.integers(2**32))
    drawn: dict[str, np.ndarray] = {}
    found = []
    for method in methods:
        family = intervals.RESAMPLED[0] if method in intervals.RESAMPLED else method
        if family not in drawn:
            drawn[family] = _scores(
                intervals.drawn_medians(cells, submissions, workloads, method=family, draws=draws, seed=seed), workloads
            )
        left_out = None
        if method == "bca":
            tables, of_cell = intervals.medians_without_one(cells, submissions, workloads)
            left_out = _scores(tables, workloads), of_cell
        row: dict[str, float] = {}
        for name, change, limits in (("score", np.asarray, (0.0, 1.0)), ("rank", rules.ranks, (1, len(submissions)))):
            skewness = None if left_out is None else intervals.acceleration(change(left_out[0]), left_out[1])
            low, high = intervals.ends(method, change(drawn[family]), change(read), LEVEL, limits, skewness)
            low, high = (low, high) if name == "score" else (np.floor(low), np.ceil(high))
            true = truth.scores if name == "score" else truth.ranks
            held = (low - _ROUNDING <= true) & (true <= high + _ROUNDING)
            row[name] = held.mean()
            if name == "score":
                row |= {
                    "leader": held[np.argmax(read)],
                    "below": (true < low - _ROUNDING).mean(),
                    "above": (true > high + _ROUNDING).mean(),
                    "expected": ((low <= truth.expected) & (truth.expected <= high)).mean(),
                    "read": ((low - _ROUNDING <= read) & (read <= high + _ROUNDING)).mean(),
                    "width": (high - low).mean(),
                }
        found.append({"method": method, **row})
    return found


def measure(number: int, methods: Sequence[str], *, experiments: int, draws: int, seed: int) -> pd.DataFrame:
    """Simulates experiments of the design with this number.

    Args:
      number: place in `simulation.DESIGNS`.
      methods: some of `intervals.METHODS`.
      experiments: number of experiments.
      draws: number of draws for each interval.
      seed: seed of everything; the draws of an experiment do not depend on how many experiments there are.

    Returns:
      A row per method, averages over submissions and experiments: `method`; the shares of intervals that hold the true
      `score`, the true `rank`, the true score of the submission that comes out first (`leader`), the `expected` score
      of such an experiment and the score that was `read`; the shares with the true score `below` and `above`; the mean
      `width` of the intervals of scores; and `error`, the standard error of `score`.
    """
    design = simulation.DESIGNS[number]
    rows = []
    for experiment in range(experiments):
        rows += _one_experiment(design, methods, draws, np.random.default_rng([seed, number, experiment]))
    table = pd.DataFrame(rows)
    groups = table.groupby("method", sort=False)
    deviations = [np.std(scores.to_numpy(), ddof=min(1, experiments - 1)) for _, scores in groups["score"]]
    return pd.DataFrame(groups.mean()).reset_index().assign(error=np.array(deviations) / np.sqrt(experiments))


def design_label(design: simulation.Design) -> str:
    """Name, submissions, workloads, and trials of each study, as the first cells of a row of a table."""
    return f"{design.name} | {design.submissions} x {design.workloads} | {design.studies} x {design.trials}"


def tables(measured: Sequence[pd.DataFrame]) -> str:
    """The tables of docs/scoring.md: how often intervals hold the true score and rank, and more on the default."""
    methods = measured[0]["method"].tolist()
    head = "| design | submissions x workloads | studies x trials | "
    rule = "|---|---|---|" + "---|" * len(methods)
    shown = list(zip(simulation.DESIGNS, measured, strict=False))
    lines = []
    for title, name in (("True scores held", "score"), ("True ranks held", "rank")):
        lines += [f"{title}, %:", "", f"{head}{' | '.join(methods)} |", rule]
        for design, table in shown:
            lines.append(f"| {design_label(design)} | {' | '.join(f'{100 * value:.1f}' for value in table[name])} |")
        lines.append("")
    columns = ("score", "error", "below", "above", "leader", "expected", "read", "width")
    first = methods[0]
    lines += [f"More on `{first}`, %:", "", f"{head}{' | '.join(columns)} |", "|---|---|---|" + "---|" * len(columns)]
    for design, table in shown:
        row = table.iloc[0]
        lines.append(f"| {design_label(design)} | {' | '.join(f'{100 * row[name]:.1f}' for name in columns)} |")
    return "\n".join(lines)


def _parser() -> Parser:
    parser = Parser(
        prog="python -m scoring.coverage", description="Measures how often intervals of simulated scores are right."
    )
    parser.add_argument("--quick", action="store_true", help="a few experiments, only to see that it works")
    parser.add_argument("--experiments", type=int, help=f"experiments of each design (default: {EXPERIMENTS})")
    parser.add_argument("--draws", type=int, help=f"draws for each interval (default: {DRAWS})")
    parser.add_argument("--seed", type=int, default=SEED, help=f"seed of everything (default: {SEED})")
    parser.add_argument("--method", action="append", choices=METHODS, help="may be repeated (default: all)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code, 2 for errors that the user can fix."""
    try:
        options = _parser().parse_args(arguments)
        usual = (_QUICK_EXPERIMENTS, _QUICK_DRAWS) if options.quick else (EXPERIMENTS, DRAWS)
        experiments = usual[0] if options.experiments is None else options.experiments
        draws = usual[1] if options.draws is None else options.draws
        for name, value, least in (("experiments", experiments, 1), ("draws", draws, 1), ("seed", options.seed, 0)):
            if value < least:
                raise ScoringError(f"{name} is {value}; expected {least} or more")
        methods = options.method or list(METHODS)
        measured = []
        for number, design in enumerate(simulation.DESIGNS):
            print(f"{design.name}: {experiments} experiments", file=sys.stderr)
            measured.append(measure(number, methods, experiments=experiments, draws=draws, seed=options.seed))
        print(tables(measured))
    except ScoringError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
