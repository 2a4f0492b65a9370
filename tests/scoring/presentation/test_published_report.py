"""The report of the largest published set of logs."""

from collections.abc import Callable

import scoring
from tests.scoring.presentation.reports import report


def test_the_report_of_the_published_logs_is_small(published: Callable[[str], scoring.Logs]) -> None:
    logs = published("v05_external_tuning")
    source = report(logs, scoring.score(logs))
    assert len(source.encode()) < 2_000_000
    # Eleven submissions and eight workloads, up to five studies each; one chart of profiles, and its labels.
    assert 300 < source.count('<path class="line') <= 11 * 8 * 5 + 11
    assert source.count('class="cell is-never-run"') == 2
    assert source.count('class="cell is-held-out"') == 7
    assert source.count('class="cell is-slow"') == 3
