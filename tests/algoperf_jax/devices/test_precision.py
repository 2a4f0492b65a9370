"""One precision for every submission: its setting in JAX, and that trials set and log it."""

import json
import pathlib
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import pytest

from algoperf_jax.devices.precision import PRECISIONS, chosen_precision, set_for_jax
from configs import base
from tests.algoperf_jax.conftest import Command


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = jax.config.values["jax_default_matmul_precision"]
    yield
    jax.config.update("jax_default_matmul_precision", before)


@pytest.mark.parametrize(("name", "expected"), [("highest", "HIGHEST"), ("tf32", "HIGH"), ("bf16", "DEFAULT")])
def test_products_and_convolutions_are_made_so(name: str, expected: str) -> None:
    set_for_jax(name)
    matrix, images, kernel = jnp.ones((2, 2)), jnp.ones((1, 2, 4, 4)), jnp.ones((2, 2, 3, 3))
    traced = (
        jax.make_jaxpr(lambda: matrix @ matrix)(),
        jax.make_jaxpr(lambda: jax.lax.conv(images, kernel, (1, 1), "SAME"))(),
    )
    for program in traced:
        assert f"precision=(Precision.{expected}, Precision.{expected})" in " ".join(str(program).split())


def test_the_default_is_that_of_the_reference_numbers() -> None:
    assert chosen_precision(base.get_config()) == "highest"
    assert next(iter(PRECISIONS)) == "highest"


def test_the_edition_decides_unless_the_key_is_set() -> None:
    config = base.get_config()
    config.edition = "v0.6-a100"
    assert chosen_precision(config) == "tf32"
    config.precision = "bf16"
    assert chosen_precision(config) == "bf16"


def test_a_trial_of_2026_multiplies_in_tf32(command: Command, trial: Callable[[str], pathlib.Path]) -> None:
    assert command("--config.edition=v0.6-a100").code == 0
    assert jax.config.values["jax_default_matmul_precision"] == "tensorfloat32"
    facts = json.loads((trial("nadamw") / "meta_data_0.json").read_text())
    assert (facts["edition"], facts["precision"]) == ("v0.6-a100", "tf32")


def test_a_trial_sets_it_and_logs_it(command: Command, trial: Callable[[str], pathlib.Path]) -> None:
    jax.config.update("jax_default_matmul_precision", None)
    assert command("--config.precision=tf32").code == 0
    assert jax.config.values["jax_default_matmul_precision"] == "tensorfloat32"
    for file in ("meta_data_0.json", "flags_0.json"):
        assert json.loads((trial("nadamw") / file).read_text())["precision"] == "tf32"


def test_an_unknown_one_is_refused(command: Command) -> None:
    line = command("--config.precision=tf23").error()
    assert "config.precision: found 'tf23'; expected one of highest, tf32, bf16. Did you mean 'tf32'?" in line
