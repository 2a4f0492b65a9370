"""The global random states of Python and NumPy start with a trial's seed and resume with the trial."""

import json
import pathlib
import random
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from algoperf_jax.checkpoints import jax_packing, random_states
from algoperf_jax.trial.backend import Packed
from tests.algoperf_jax.conftest import Command

Write = Callable[..., pathlib.Path]


def draws() -> list[float]:
    """A few numbers from each, with an odd number of normal variates: the second of a pair is cached."""
    return [random.random(), random.gauss(0, 1), float(np.random.rand()), float(np.random.normal())]  # noqa: NPY002


def through_files(value: Any) -> Any:
    packed = jax_packing.pack(value)
    kept = Packed(dict(packed.arrays), json.loads(json.dumps(packed.values)))
    return jax_packing.unpack(None, kept, lambda array, old: jnp.asarray(array))


def test_a_seed_gives_the_same_numbers_regardless_of_earlier_draws() -> None:
    with random_states.seeded(3):
        first = draws()
    draws()
    with random_states.seeded(3):
        again = draws()
    with random_states.seeded(4):
        other = draws()
    assert first == again
    assert not {*first} & {*other}


def test_the_states_of_before_are_back_afterwards() -> None:
    with random_states.seeded(1):
        before = random_states.current()
        expected = draws()
        random_states.restore(before)
        with pytest.raises(ZeroDivisionError), random_states.seeded(2):
            random.seed(1 // 0)
        with random_states.seeded(2):
            draws()
        assert draws() == expected


def test_states_are_restored_from_a_checkpoint() -> None:
    with random_states.seeded(5):
        draws()
        kept = through_files(random_states.current())
        expected = [*draws(), *draws()]
        draws()
        random_states.restore(kept)
        assert [*draws(), *draws()] == expected


def test_a_generator_of_python_in_a_state_continues() -> None:
    generator = random.Random(7)
    generator.gauss(0, 1)
    for template in (random.Random(0), None):
        packed = jax_packing.pack({"g": generator})
        kept = Packed(dict(packed.arrays), json.loads(json.dumps(packed.values)))
        found = jax_packing.unpack({"g": template}, kept, lambda array, old: jnp.asarray(array))["g"]
        assert template is None or found is template
        expected = random.Random()
        expected.setstate(generator.getstate())
        assert [found.gauss(0, 1), found.random()] == [expected.gauss(0, 1), expected.random()]


DRAWS = """
import os, random, signal
import numpy as np

SHUFFLED = np.random.permutation(100)

def init_optimizer_state(workload, params, model_state, hyperparameters, rng):
    return {"begin": [random.random(), float(np.random.rand()), int(SHUFFLED[0])], "fixed": np.random.normal()}

def update_params(global_step, optimizer_state, current_param_container, model_state, **rest):
    print("drawn", global_step, random.gauss(0, 1), np.random.normal(), optimizer_state["begin"])
    if global_step == STOP_AFTER:
        os.kill(os.getpid(), signal.SIGTERM)
    return optimizer_state, current_param_container, model_state
"""


def drawn(command: Command, path: pathlib.Path, folder: pathlib.Path, *arguments: str) -> list[str]:
    finished = command(
        f"--config.submission={path}",
        "--config.eval_period_sec=1e-9",
        "--config.max_steps=6",
        *arguments,
        defaults=(f"--config.experiment_dir={folder}", "--config.mesh.data=1"),
    )
    assert finished.code == 0, finished
    return [line for line in finished.out.splitlines() if line.startswith("drawn")]


def test_a_submission_that_draws_from_them_resumes_bit_for_bit(
    command: Command, submission: Write, tmp_path: pathlib.Path
) -> None:
    whole = drawn(command, submission("STOP_AFTER = None", DRAWS, name="whole.py"), tmp_path)
    halves = submission("STOP_AFTER = 2", DRAWS, name="halves.py")
    first = drawn(command, halves, tmp_path)
    draws()
    second = drawn(command, halves, tmp_path)
    assert (len(first), len(second)) == (3, 3)
    assert first + second == whole
    assert len({tuple(line.split()[2:4]) for line in whole}) == 6


def test_another_seed_draws_other_numbers(command: Command, submission: Write, tmp_path: pathlib.Path) -> None:
    path = submission("STOP_AFTER = None", DRAWS)
    one, other = (
        drawn(command, path, tmp_path, f"--config.seed={seed}", f"--config.experiment_name=seed_{seed}")
        for seed in (1, 2**32 - 1)
    )
    assert not {*one} & {*other}
