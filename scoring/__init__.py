"""Scoring: turns log files into times to target, performance profiles and the benchmark's score.

    logs = scoring.load("logs/external_tuning", "v0.5")
    scores = scoring.score(logs, rule="official")
    scores.leaderboard
    scoring.bootstrap(logs, rule="official").intervals

It only reads files. `Logs`, `Scores` and `Uncertainty` document the columns and units of their tables. `comparisons`
and `usage` compute further tables, and `reports` everything that the command line writes.
"""

from scoring.errors import ScoringError
from scoring.logs import Logs, load
from scoring.resampling import Uncertainty, bootstrap
from scoring.scores import Scores, score

__all__ = ["Logs", "Scores", "ScoringError", "Uncertainty", "bootstrap", "load", "score"]
