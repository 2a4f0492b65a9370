"""The tables of scores in docs/scoring-vs-official.md and in the README are what the published logs give."""

import pathlib
import re
from collections.abc import Callable

import pytest

import scoring
from scoring import times
from tests.scoring import conftest, golden_tables

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize("log_set", conftest.LOG_SETS)
def test_the_document_lists_these_scores(published: Callable[[str], scoring.Logs], log_set: str) -> None:
    document = (ROOT / "docs/scoring-vs-official.md").read_text()
    label = " ".join(conftest.LOG_SETS[log_set])
    rows = re.findall(rf"^\| {re.escape(label)} \| (.*) \|$", document, re.MULTILINE)
    logs = published(log_set)
    official, documented = (scoring.score(logs, rule=rule).leaderboard for rule in times.RULES[::-1])
    named = documented.set_index("submission")
    intervals = scoring.bootstrap(logs).intervals.set_index("submission")
    expected = golden_tables.published_scores(log_set)
    assert rows == [
        " | ".join(
            [
                name,
                f"{expected[name]:.4f}" if name in expected else "none",
                f"{score:.4f}",
                *(f"{named.at[name, column]:.4f}" for column in ("score", "exact_score")),
                "{score_low:.4f} to {score_high:.4f}".format(**intervals.loc[name]),
                "{rank_low} to {rank_high}".format(**intervals.loc[name]),
            ]
        )
        for name, score, _ in official.itertuples(index=False, name=None)
    ]


def test_the_readme_lists_the_first_places(published: Callable[[str], scoring.Logs]) -> None:
    section = (ROOT / "README.md").read_text().partition("The first places:")[2]
    rows = re.findall(r"^\| (.*) \|$", section, re.MULTILINE)
    columns = list(zip(*([cell.strip() for cell in row.split("|")] for row in rows), strict=True))
    assert len(columns) == len(conftest.LOG_SETS)
    for log_set, (heading, *places) in zip(conftest.LOG_SETS, columns, strict=True):
        assert heading.removesuffix(" (2026)") == " ".join(conftest.LOG_SETS[log_set])
        leaderboard = scoring.score(published(log_set), rule="official").leaderboard.head(len(places))
        expected = [f"{name} {score:.4f}" for name, score, _ in leaderboard.itertuples(index=False, name=None)]
        assert places == expected + [""] * (len(places) - len(expected))


def test_intervals_of_the_first_four_of_2026_overlap(published: Callable[[str], scoring.Logs]) -> None:
    first = scoring.bootstrap(published("v06_a100_self_tuning")).intervals.head(4)
    assert max(first["score_low"].tolist()) < min(first["score_high"].tolist())
