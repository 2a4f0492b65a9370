"""Finds the studies whose trial depends on the order of a directory, or is not the fastest, as others did."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import scoring
from scoring.times import first_hits
from tests.scoring import golden_tables

KEYS = ["submission", "workload", "study"]


def found(logs: scoring.Logs) -> pd.DataFrame:
    """A row per such study: the keys, `kind`, `min_eval_row`, `candidates` of that row and the `fastest` trial."""
    hits = first_hits(logs)
    groups: Any = hits[np.isfinite(hits["hit_row"])].groupby(KEYS)
    rows = []
    for keys, trials in groups:
        first = trials["hit_row"].min()
        candidates = trials[trials["hit_row"] == first]
        fastest = trials.sort_values("hit_time_sec").iloc[0]
        kinds = [
            kind
            for kind, holds in (("tie", len(candidates) > 1), ("index_not_fastest", fastest["hit_row"] > first))
            if holds
        ]
        rows += [(*keys, kind, int(first), set(candidates["trial"]), fastest["trial"]) for kind in kinds]
    return pd.DataFrame(rows, columns=[*KEYS, "kind", "min_eval_row", "candidates", "fastest"])


@pytest.mark.parametrize("log_set", golden_tables.LOG_SETS)
def test_studies_that_depend_on_order(published: Callable[[str], scoring.Logs], log_set: str) -> None:
    expected = golden_tables.read_table(f"{log_set}/order_sensitive_studies.csv", index=KEYS).reset_index()
    ours = found(published(log_set))
    assert len(ours) == len(expected)
    ours = ours.sort_values([*KEYS, "kind"], ignore_index=True)
    expected = expected.sort_values([*KEYS, "kind"], ignore_index=True)
    for name in (*KEYS, "kind", "min_eval_row"):
        assert ours[name].tolist() == expected[name].tolist()
    for mine, theirs in zip(ours["candidates"], expected["candidates(trial:time)"], strict=True):
        assert mine == {entry.split(":")[0] for entry in theirs.split()}
    fastest = [entry.split(":")[0] for entry in expected["fastest_by_time(trial:row:time)"]]
    assert ours["fastest"].tolist() == fastest
