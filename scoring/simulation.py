"""Benchmarks whose true scores are known, to see how often intervals hold them."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Design:
    """How the submissions of a simulated benchmark behave.

    Attributes:
      name: in tables.
      submissions: how many.
      workloads: how many.
      trials: of each study.
      lost: share of cells (a submission on a workload) that hardly ever reach their target.
      hits: the larger, the more often the other cells reach it: a probability ~ Beta(hits, 1) for each.
      spread: typical standard deviation of the logarithm of a trial's time.
      difference: standard deviation of the logarithm of the typical times of submissions, over submissions.
      period: evaluations happen at multiples of this share of the time that a workload takes; 0 for at any time.
      budget: time at which trials end, in multiples of the typical time of a workload.
      studies: of each cell.
    """

    name: str
    submissions: int
    workloads: int
    trials: int
    lost: float
    hits: float
    spread: float
    difference: float = 0.2
    period: float = 0.0
    budget: float = np.inf
    studies: int = 3


@dataclasses.dataclass(frozen=True)
class World:
    """Submissions with known behaviour; all arrays are [submissions, workloads, trials] or broadcast to that.

    Attributes:
      probability: that a trial reaches the target.
      centre: mean of the logarithm of a trial's time, relative to the typical time of the workload.
      spread: standard deviation of that logarithm.
      design: how it was made.
    """

    probability: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    design: Design


# The standard Gumbel distribution has this mean and standard deviation. It leans to late times.
_MEAN, _DEVIATION = np.euler_gamma, np.pi / np.sqrt(6.0)


def world(design: Design, generator: np.random.Generator) -> World:
    """Draws submissions as the design says."""
    cells = (design.submissions, design.workloads, 1)
    # Failures gather in weak submissions and on hard workloads.
    weakness = generator.uniform(0.0, 2.0, size=(design.submissions, 1, 1))
    hardness = generator.uniform(0.0, 2.0, size=(1, design.workloads, 1))
    lost = generator.random(cells) < design.lost * weakness * hardness
    probability = np.where(lost, generator.beta(1.0, 12.0, size=cells), generator.beta(design.hits, 1.0, size=cells))
    trials = (*cells[:2], design.trials)
    works = generator.random(trials) < 0.6
    # In the published logs, targets that some studies miss are reached at one or two points of the search space.
    works[..., 0] = True
    works[..., 1:] &= ~lost
    sides = np.sqrt(3.0) * design.difference
    centre = generator.uniform(-sides, sides, size=(design.submissions, 1, 1))
    centre = centre + generator.uniform(-sides, sides, size=cells)
    centre = centre + (0.3 * generator.standard_normal(trials) if design.trials > 1 else 0.0)
    spread = design.spread * np.exp(0.6 * generator.standard_normal(cells))
    return World(np.where(works, probability, 0.0), centre, spread, design)


def _observed(times: np.ndarray, design: Design) -> np.ndarray:
    """Times as an evaluation sees them: at the next multiple of the period, or never."""
    if design.period:
        times = design.period * np.ceil(times / design.period)
    return np.where(times > design.budget, np.inf, times)


def experiment(world: World, generator: np.random.Generator) -> np.ndarray:
    """Draws times of trials, [submissions, workloads, studies, trials]; infinite for a miss."""
    design = world.design
    shape = (design.submissions, design.workloads, design.studies, design.trials)
    noise = (generator.gumbel(size=shape) - _MEAN) / _DEVIATION
    times = np.exp(world.centre[:, :, None] + world.spread[:, :, None] * noise)
    times = np.where(generator.random(shape) < world.probability[:, :, None], times, np.inf)
    return _observed(times, design)


def true_medians(world: World) -> np.ndarray:
    """The medians of endlessly many studies, [submissions, workloads]; infinite for a miss."""
    low = np.full(world.centre.shape[:2], -20.0)
    high = -low
    for _ in range(60):
        middle = 0.5 * (low + high)
        standard = _MEAN + _DEVIATION * (middle[..., None] - world.centre) / world.spread
        hit = world.probability * np.exp(-np.exp(np.minimum(-standard, 700.0)))
        # A study is done as soon as one trial is.
        done = 1.0 - (1.0 - hit).prod(axis=-1)
        low, high = np.where(done < 0.5, middle, low), np.where(done < 0.5, high, middle)
    return _observed(np.where(high > 19.9, np.inf, np.exp(high)), world.design)


DESIGNS = (
    Design("rare misses, small spread", 16, 9, 1, lost=0.1, hits=30.0, spread=0.04),
    Design("rare misses, large spread", 16, 9, 1, lost=0.1, hits=30.0, spread=0.2),
    Design("frequent misses, small spread", 8, 9, 1, lost=0.4, hits=4.0, spread=0.04),
    Design("frequent misses, large spread", 16, 9, 1, lost=0.4, hits=4.0, spread=0.2),
    Design("rare misses, small spread", 11, 8, 5, lost=0.1, hits=30.0, spread=0.04),
    Design("rare misses, large spread", 5, 8, 5, lost=0.1, hits=30.0, spread=0.2),
    Design("frequent misses, small spread", 11, 8, 5, lost=0.4, hits=4.0, spread=0.04),
    Design("frequent misses, large spread", 11, 8, 5, lost=0.4, hits=4.0, spread=0.2),
    Design("few submissions", 5, 8, 1, lost=0.2, hits=8.0, spread=0.1),
    Design("a close race", 8, 8, 1, lost=0.2, hits=8.0, spread=0.1, difference=0.03),
    Design("as in the logs of 2026", 16, 9, 1, lost=0.5, hits=30.0, spread=0.08, period=0.04, budget=1.6),
    Design("five studies", 6, 8, 1, lost=0.2, hits=8.0, spread=0.1, studies=5),
)
