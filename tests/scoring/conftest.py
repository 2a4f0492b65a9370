"""The published logs, unpacked once, and the tables that belong to them."""

import functools
import os
import pathlib
import tarfile
from collections.abc import Callable

import pytest

import scoring

LOG_SETS = {
    "v05_external_tuning": ("v0.5", "external"),
    "v05_self_tuning": ("v0.5", "self"),
    "v06_external_tuning": ("v0.6", "external"),
    "v06_self_tuning": ("v0.6", "self"),
    "v06_a100_self_tuning": ("v0.6-a100", "self"),
}


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], scoring.Logs]:
    """Name of a set of published logs -> the logs; skips if they are missing."""

    @functools.cache
    def load(name: str) -> scoring.Logs:
        archive = pathlib.Path(os.environ["ALGOPERF_TEST_DATA"]) / f"leaderboard_logs/logs_algoperf_{name}.tar.xz"
        folder = tmp_path_factory.mktemp(name)
        with tarfile.open(archive) as file:
            file.extractall(folder, filter="data")
        version, ruleset = LOG_SETS[name]
        (logs,) = folder.rglob(f"{ruleset}_tuning")
        return scoring.load(logs, version, ruleset=ruleset)

    def load_or_skip(name: str) -> scoring.Logs:
        if "ALGOPERF_TEST_DATA" not in os.environ:
            pytest.skip("ALGOPERF_TEST_DATA, the folder with the published logs, is not set")
        return load(name)

    return load_or_skip
