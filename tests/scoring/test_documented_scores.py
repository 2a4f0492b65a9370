"""The table of scores in docs/scoring-vs-official.md is what the published logs give."""

import pathlib
import re
from collections.abc import Callable

import pytest

import scoring
from scoring import times
from tests.scoring import golden_tables


@pytest.mark.parametrize("log_set", golden_tables.LOG_SETS)
def test_the_document_lists_these_scores(published: Callable[[str], scoring.Logs], log_set: str) -> None:
    document = (pathlib.Path(__file__).parents[2] / "docs/scoring-vs-official.md").read_text()
    version, ruleset = log_set.split("_")[:2]
    label = f"{version[0]}{version[1]}.{version[2]} {ruleset}"
    rows = re.findall(rf"^\| {re.escape(label)} \| (.*) \|$", document, re.MULTILINE)
    logs = published(log_set)
    official, documented = (scoring.score(logs, rule=rule).leaderboard for rule in times.RULES[::-1])
    named = documented.set_index("submission")
    intervals = scoring.bootstrap(logs).intervals.set_index("submission")
    expected = golden_tables.read_json("scores_summary.json")[log_set]["published"]
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
