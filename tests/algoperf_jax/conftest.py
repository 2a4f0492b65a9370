"""Runs the command line in this process on a fast workload."""

import dataclasses
import pathlib
import signal
from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np
import pytest

import workloads
from algoperf_jax.data import prepared
from algoperf_jax.main import StopOnSignal, main
from tests.algoperf_jax import tiny_workload
from workloads.mnist.prepare import DATASET

# A training algorithm that does not change the parameters. Code appended to it replaces its functions.
FIVE_FUNCTIONS = """
def get_batch_size(workload_name):
    return 32

def init_optimizer_state(workload, params, model_state, hyperparameters, rng):
    return {"calls": 0}

def update_params(workload, current_param_container, current_params_types, model_state, hyperparameters, batch,
                  loss_type, optimizer_state, eval_results, global_step, rng):
    return {"calls": optimizer_state["calls"] + 1}, current_param_container, model_state

def data_selection(workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters,
                   global_step, rng):
    return next(input_queue)
"""

TINY_CONFIG = pathlib.Path(__file__).with_name("tiny_config.py")


@dataclasses.dataclass(frozen=True)
class Finished:
    """The outcome of a command."""

    code: int
    out: str
    err: str

    def error(self) -> str:
        """The one line on stderr of a command with an error that the user can fix."""
        assert self.code == 2, self
        assert self.err.startswith("error: "), self.err
        assert self.err.count("\n") == 1, self.err
        return self.err


Command = Callable[..., Finished]


@pytest.fixture(scope="session")
def compilation_cache() -> Iterator[None]:
    """Caches even small programs for the whole test run, because each command compiles its own functions."""
    settings = {"jax_persistent_cache_min_compile_time_secs": 0.0}
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.fixture
def command(
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    compilation_cache: None,
) -> Iterator[Command]:
    """Runs `main` with the given overrides on the tiny workload, by default on one device for three steps."""
    handlers = {number: signal.getsignal(number) for number in StopOnSignal.NUMBERS}

    def run(
        *overrides: str, config: str | pathlib.Path = TINY_CONFIG, defaults: Sequence[str] | None = None
    ) -> Finished:
        if defaults is None:
            defaults = (f"--config.experiment_dir={tmp_path}", "--config.max_steps=3", "--config.mesh.data=1")
        capsys.readouterr()
        code = main([f"--config={config}", *defaults, *overrides])
        captured = capsys.readouterr()
        return Finished(code, captured.out, captured.err)

    with workloads.registered("tiny", tiny_workload.ENTRY):
        yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def trial(tmp_path: pathlib.Path) -> Callable[[str], pathlib.Path]:
    """The directory of trial 1 of a submission on the tiny workload, as `command` runs it."""
    return lambda submission: tmp_path / "default" / submission / "study_1" / "tiny_builtin_jax" / "trial_1"


@pytest.fixture
def submission(tmp_path: pathlib.Path) -> Callable[..., pathlib.Path]:
    """Writes a submission file: the five functions, and code that replaces some of them."""
    return submission_writer(tmp_path, FIVE_FUNCTIONS, "algorithm.py")


def submission_writer(folder: pathlib.Path, functions: str, file_name: str) -> Callable[..., pathlib.Path]:
    """Writes files with the five functions; name and content can be replaced."""

    def write(*replacements: str, name: str = file_name, base: str = functions) -> pathlib.Path:
        path = folder / "submissions" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join([base, *replacements]))
        return path

    return write


@pytest.fixture
def mnist_data(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder with a small prepared data set in the real format; the images are noise."""
    rng = np.random.default_rng(0)

    def columns(count: int) -> dict[str, np.ndarray]:
        return {
            "image": rng.integers(256, size=(count, 28, 28, 1), dtype=np.uint8),
            "label": rng.integers(10, size=count, dtype=np.uint8),
        }

    splits = {name: prepared.in_blocks(columns(64)) for name in ("train", "validation", "test")}
    prepared.write(tmp_path / "data", DATASET, splits, source="a test")
    return tmp_path / "data"
