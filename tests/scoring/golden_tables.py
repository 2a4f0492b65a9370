"""Tables computed from the published logs by other implementations.

Tolerances are those in the notes on the tables: 1e-12 for times (parsers of decimal numbers differ in the last digit)
and scores, 0 for profiles.
"""

import json
import pathlib
from typing import Any

import pandas as pd
import pytest

from tests import golden_support

TIME_TOLERANCE = 1e-12
SCORE_TOLERANCE = 1e-12
LOG_SETS = ("v05_external_tuning", "v05_self_tuning", "v06_external_tuning", "v06_self_tuning")


def path(name: str) -> pathlib.Path:
    """A file of the reference numbers; skips if only the small copies are available."""
    file = golden_support.folder() / "scoring" / name
    if not file.exists():
        pytest.skip(f"{name} is not among the small copies; ALGOPERF_GOLDEN_DIR names the folder that has it")
    return file


def read_json(name: str) -> Any:
    return json.loads(path(name).read_text())


def published_scores(log_set: str) -> dict[str, float]:
    """The published score of each submission, if any were published."""
    summary = read_json("scores_summary.json")
    if log_set in summary:
        return summary[log_set]["published"]
    return read_table(f"{log_set}/scores.csv")["score"].to_dict()


def read_table(name: str, index: str | list[str] = "submission") -> Any:
    return pd.read_csv(path(name), index_col=index)


def assert_close(found: Any, expected: Any, tolerance: float = TIME_TOLERANCE) -> None:
    """Equal up to the order of rows and columns."""
    expected = expected.sort_index()
    found = found.sort_index()[list(expected.columns)]
    pd.testing.assert_frame_equal(
        found, expected, check_dtype=False, check_names=False, check_column_type=False, rtol=tolerance, atol=0.0
    )
