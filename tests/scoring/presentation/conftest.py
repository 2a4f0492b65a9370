"""The small set of logs, its scores and its report, made once."""

import pathlib

import pytest

import scoring
from tests.scoring.presentation.reports import report, small_logs


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> scoring.Logs:
    return small_logs(tmp_path_factory.mktemp("logs"))


@pytest.fixture(scope="session")
def scores(logs: scoring.Logs) -> scoring.Scores:
    return scoring.score(logs)


@pytest.fixture(scope="session")
def page(logs: scoring.Logs, scores: scoring.Scores, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report(logs, scores), encoding="utf-8")
    return path
