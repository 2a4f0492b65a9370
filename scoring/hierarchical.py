"""A Bayesian model of hits and times, from which intervals of scores are drawn.

A submission on a workload is a cell. The model borrows strength between cells, since three studies of one cell say
little about how often it misses its target and how much its times spread:

- Hits. A study of cell (s, w) reaches the target with probability 1 / (1 + exp(-t[s, w])), and
  t[s, w] ~ a[s] + b[w] + omega Student(2), a[s] ~ Normal(0, A^2), b[w] ~ Normal(c, B^2): a target that most reach is
  easily reached, a submission that reaches most targets reaches another one too, and exceptions may be large.
- Times. The logarithm of a study's time ~ Normal(m[s, w], r[s, w]^2), m[s, w] ~ Normal(u[s] + v[w], tau^2),
  u[s] ~ Normal(0, U^2). The variances r^2 differ between cells but come from one scaled inverse chi-squared
  distribution, whose scale and degrees of freedom are estimated.

A draw from the posterior distribution gives each cell the median of endlessly many studies: infinite if less than half
of them reach the target, else the quantile 0.5 / (probability of a hit) of the times. Studies are the replicates; which
of a study's trials counted is not modelled.

The posterior is sampled by Gibbs sampling, see Gelman et al., "Bayesian Data Analysis" (3rd edition, 2013), chapters 5,
11 and 15, in several chains at once.
"""

import dataclasses

import numpy as np
from scipy import special

_CHAINS = 20
_WARM_UP = 80
# Weak priors: inverse gamma distributions of variances, (shape, scale). Those of hits are in logits, those of times in
# logarithms, where 0.06 is a standard deviation of about 25 %.
_HIT_VARIANCE = (1.5, 3.0)
_TIME_VARIANCE = (0.5, 0.001)
_EASE_VARIANCE = 9.0
_COLUMNS_VARIANCE = 100.0
# The scale of the variances of a cell's times is exponential, with this mean: a spread of 10 %.
_SPREAD = 0.01
# Degrees of freedom of the logits of hits around the sum of their effects.
_TAIL = 2.0
# Bounds of times and of their logarithms, which no real time comes near.
_SHORTEST, _LARGEST = 1e-9, 300.0
_DEGREES = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
_LOGITS = np.linspace(-8.0, 8.0, 33)


def _inverse_gamma(generator: np.random.Generator, shape: np.ndarray | float, scale: np.ndarray) -> np.ndarray:
    return scale / generator.gamma(shape, size=scale.shape)


def _normal(generator: np.random.Generator, precision: np.ndarray, weighted: np.ndarray) -> np.ndarray:
    """Draws from normal distributions with the given precisions and products of precision and mean."""
    return weighted / precision + generator.standard_normal(precision.shape) / np.sqrt(precision)


def _categories(generator: np.random.Generator, log_weights: np.ndarray) -> np.ndarray:
    """Draws a place on the last axis, with probabilities proportional to the exponential of `log_weights`."""
    sums = np.cumsum(np.exp(log_weights - log_weights.max(axis=-1, keepdims=True)), axis=-1)
    return (sums < generator.random(sums.shape[:-1])[..., None] * sums[..., -1:]).sum(axis=-1)


@dataclasses.dataclass
class _Effects:
    """Effects of submissions and of workloads on a table [chains, submissions, workloads], and their variances.

    Attributes:
      rows: [chains, submissions, 1].
      columns: [chains, 1, workloads].
      rest: variance of the cells around the sum of both, [chains, 1, 1].
      factors: by which that variance is multiplied in each cell, [chains, submissions, workloads]; all 1 for a normal
        distribution, from an inverse gamma distribution for one of Student's.
      rows_variance: [chains, 1, 1].
      columns_variance: [chains, 1, 1].
      centre: mean of the columns, [chains, 1, 1].
    """

    rows: np.ndarray
    columns: np.ndarray
    rest: np.ndarray
    factors: np.ndarray
    rows_variance: np.ndarray
    columns_variance: np.ndarray
    centre: np.ndarray

    @classmethod
    def start(cls, chains: int, shape: tuple[int, int], columns: np.ndarray, variance: float) -> "_Effects":
        one = np.full((chains, 1, 1), variance)
        return cls(
            rows=np.zeros((chains, shape[0], 1)),
            columns=np.tile(columns, (chains, 1, 1)),
            rest=one,
            factors=np.ones((chains, *shape)),
            rows_variance=one,
            columns_variance=one,
            centre=np.zeros((chains, 1, 1)),
        )

    @property
    def sums(self) -> np.ndarray:
        return self.rows + self.columns

    @property
    def variances(self) -> np.ndarray:
        return self.rest * self.factors

    def redraw(
        self,
        generator: np.random.Generator,
        cells: np.ndarray,
        known: np.ndarray,
        prior: tuple[float, float],
        centre_variance: float | None,
        tail: float | None,
    ) -> None:
        """Draws all given the values of the cells that are `known`, [submissions, workloads].

        The columns have a mean and a variance of their own with `centre_variance`, and a nearly flat prior without.
        `tail` is the number of degrees of freedom of the cells around the sums, None for a normal distribution.
        """
        shape, scale = prior
        weights = known / self.variances
        precision = weights.sum(axis=1, keepdims=True) + 1.0 / _COLUMNS_VARIANCE
        weighted = (weights * (cells - self.rows)).sum(axis=1, keepdims=True)
        if centre_variance is not None:
            precision = weights.sum(axis=1, keepdims=True) + 1.0 / self.columns_variance
            weighted = weighted + self.centre / self.columns_variance
        self.columns = _normal(generator, precision, weighted)
        precision = weights.sum(axis=2, keepdims=True) + 1.0 / self.rows_variance
        self.rows = _normal(generator, precision, (weights * (cells - self.columns)).sum(axis=2, keepdims=True))
        squares = (cells - self.sums) ** 2
        total = (known * squares / self.factors).sum(axis=(1, 2), keepdims=True)
        self.rest = _inverse_gamma(generator, shape + known.sum() / 2, scale + total / 2)
        if tail is not None:
            half = 0.5 * tail
            self.factors = _inverse_gamma(generator, half + 0.5 * known, half + 0.5 * known * squares / self.rest)
        squares = (self.rows**2).sum(axis=1, keepdims=True)
        self.rows_variance = _inverse_gamma(generator, shape + self.rows.shape[1] / 2, scale + squares / 2)
        if centre_variance is not None:
            number = self.columns.shape[2]
            precision = number / self.columns_variance + 1.0 / centre_variance
            weighted = self.columns.sum(axis=2, keepdims=True) / self.columns_variance
            self.centre = _normal(generator, precision, weighted)
            squares = ((self.columns - self.centre) ** 2).sum(axis=2, keepdims=True)
            self.columns_variance = _inverse_gamma(generator, shape + number / 2, scale + squares / 2)


class _Hits:
    """The part of the model that says how often targets are reached."""

    def __init__(self, hits: np.ndarray, studies: np.ndarray, chains: int):
        self.known = studies > 0
        likelihood = hits[..., None] * special.log_expit(_LOGITS)
        likelihood += (studies - hits)[..., None] * special.log_expit(-_LOGITS)
        self.likelihood = likelihood
        self.effects = _Effects.start(chains, hits.shape, np.zeros((1, hits.shape[1])), 4.0)

    def redraw(self, generator: np.random.Generator) -> np.ndarray:
        """Draws the logits of hits, [chains, submissions, workloads], and then the effects."""
        distances = _LOGITS - self.effects.sums[..., None]
        places = _categories(generator, self.likelihood - 0.5 / self.effects.variances[..., None] * distances**2)
        width = _LOGITS[1] - _LOGITS[0]
        logits = _LOGITS[places] + width * (generator.random(places.shape) - 0.5)
        self.effects.redraw(generator, logits, self.known, _HIT_VARIANCE, _EASE_VARIANCE, _TAIL)
        return logits


class _Times:
    """The part of the model that says how long it takes to reach targets."""

    def __init__(self, log_times: np.ndarray, chains: int):
        there = np.isfinite(log_times)
        # Only ratios matter; a workload that nobody reached has no other scale.
        self.origin = log_times[there].mean() if there.any() else 0.0
        log_times = log_times - self.origin
        self.number = there.sum(axis=-1)
        self.known = self.number > 0
        self.sums = np.where(there, log_times, 0.0).sum(axis=-1)
        self.means = self.sums / np.maximum(self.number, 1)
        self.squares = np.where(there, (log_times - self.means[..., None]) ** 2, 0.0).sum(axis=-1)
        columns = np.where(self.known, self.means, 0.0).sum(axis=0) / np.maximum(self.known.sum(axis=0), 1)
        self.effects = _Effects.start(chains, self.known.shape, columns[None], 0.06)
        self.scale = np.full((chains, 1, 1), _SPREAD)
        self.degrees = np.full((chains, 1, 1), 4.0)
        self.variances = np.full((chains, *self.known.shape), _SPREAD)

    def redraw(self, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draws means and standard deviations of log-times, both [chains, submissions, workloads]."""
        effects = self.effects
        precision = self.number / self.variances + 1.0 / effects.variances
        centres = _normal(generator, precision, self.sums / self.variances + effects.sums / effects.variances)
        squares = self.squares + self.number * (self.means - centres) ** 2
        scale = 0.5 * (self.degrees * self.scale + squares)
        self.variances = _inverse_gamma(generator, 0.5 * (self.degrees + self.number), scale)
        inverse = np.where(self.known, 1.0 / self.variances, 0.0).sum(axis=(1, 2), keepdims=True)
        logarithms = np.where(self.known, np.log(self.variances), 0.0).sum(axis=(1, 2), keepdims=True)
        cells = self.known.sum()
        rate = 1.0 / _SPREAD + 0.5 * self.degrees * inverse
        self.scale = generator.gamma(1.0 + 0.5 * self.degrees * cells) / rate
        half = 0.5 * _DEGREES
        log_weights = cells * (half * np.log(half * self.scale) - special.gammaln(half))
        log_weights = log_weights - (half + 1.0) * logarithms - half * self.scale * inverse
        self.degrees = _DEGREES[_categories(generator, log_weights)][..., None]
        effects.redraw(generator, centres, self.known, _TIME_VARIANCE, None, None)
        return self.origin + centres, np.sqrt(self.variances)


def posterior_medians(values: np.ndarray, draws: int, generator: np.random.Generator) -> np.ndarray:
    """Draws the medians of endlessly many studies, given some studies.

    Args:
      values: times of studies, [submissions, workloads, most studies]; infinite for a miss, NaN where there is none.
      draws: number of draws.
      generator: source of randomness.

    Returns:
      [draws, submissions, workloads], in the unit of `values`; infinite for a miss, NaN for a cell without studies.
    """
    studies = (~np.isnan(values)).sum(axis=-1)
    chains = min(_CHAINS, draws)
    log_times = np.log(np.maximum(values, _SHORTEST))
    hits = _Hits(np.isfinite(log_times).sum(axis=-1), studies, chains)
    times = _Times(log_times, chains)
    found = []
    for sweep in range(_WARM_UP - (-draws // chains)):
        logits, (centres, spreads) = hits.redraw(generator), times.redraw(generator)
        if sweep >= _WARM_UP:
            reached = logits > 0.0
            quantiles = special.ndtri(np.where(reached, 0.5 / special.expit(logits), 0.5))
            medians = np.exp(np.clip(centres + spreads * quantiles, -_LARGEST, _LARGEST))
            found.append(np.where(reached, medians, np.inf))
    return np.where(studies > 0, np.concatenate(found)[:draws], np.nan)
