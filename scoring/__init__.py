"""Scoring: from log files to times to target, performance profiles and the benchmark's score.

    logs = scoring.load("logs/external_tuning", "v0.5")
    scores = scoring.score(logs, rule="official")
    scores.leaderboard

Reads files only. `Logs` and `Scores` document the columns and units of their tables.
"""

from scoring.errors import ScoringError
from scoring.logs import Logs, load
from scoring.scores import Scores, score

__all__ = ["Logs", "Scores", "ScoringError", "load", "score"]
