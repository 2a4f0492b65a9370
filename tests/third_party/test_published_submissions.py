"""Unmodified published submissions: they follow the trajectories that the reference implementation recorded."""

import itertools
import pathlib

import pytest
from rich.console import Console

from algoperf_jax import configuration as configs
from algoperf_jax.outputs.result import TrialResult
from algoperf_jax.run import execute
from algoperf_jax.submission.framework_names import ENTRIES
from tests import golden_support
from tests.third_party import published
from tests.third_party.checkpointed import checksums


@pytest.mark.parametrize(
    ("name", "devices"),
    [
        *((name, 8 if name.endswith("_pmap") else 1) for name in published.FILES),
        *((name, 4) for name in published.FILES if name.endswith("_jax")),
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_submission_follows_its_recorded_trajectory(name: str, devices: int) -> None:
    path = published.file_of(name)
    published.assert_follows(str(path), published.golden_of(name), devices=devices)


@pytest.mark.parametrize("framework", ENTRIES)
def test_our_nadamw_follows_the_published_one(framework: str) -> None:
    published.assert_follows("nadamw", golden_support.listing(f"submissions/nadamw_external_{framework}"))


@pytest.mark.parametrize(("workload", "steps"), [("mnist", 40), ("ogbg", 4)])
@pytest.mark.parametrize("name", published.FILES)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_submission_runs_to_the_end_and_resumes_bit_for_bit(
    name: str, workload: str, steps: int, tmp_path: pathlib.Path
) -> None:
    path = published.file_of(name)
    golden = published.golden_of(name)
    point = [f"--config.hyperparameters.{key}={value}" for key, value in (golden["hyperparameters"] or {}).items()]
    options = [f"--config.submission={path}", f"--config.ruleset={golden['ruleset']}", *point]
    if golden["framework"] == "jax" and not name.endswith("_pmap"):
        options.append("--config.mesh.data=1")

    def run(experiment: str, stop_after: int | None = None) -> TrialResult:
        config = configs.from_command_line(
            [
                f"--config=configs/{workload}.py",
                f"--config.experiment_dir={tmp_path}",
                f"--config.experiment_name={experiment}",
                f"--config.max_steps={steps}",
                *options,
            ],
        )
        count = itertools.count(1)
        return execute(
            config,
            Console(quiet=True),
            stop_requested=lambda: stop_after is not None and next(count) >= stop_after,
        )

    whole = run("whole")
    assert (whole.status, whole.steps) == ("training_complete", steps), whole.reason
    assert {"validation", "test"} <= whole.best.keys()
    assert run("default", stop_after=steps // 2).status == "interrupted"
    resumed = run("default")
    assert (resumed.status, resumed.steps) == ("training_complete", steps), resumed.reason
    assert checksums(resumed, steps) == checksums(whole, steps)
