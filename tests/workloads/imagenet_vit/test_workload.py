"""Published facts of imagenet_vit and its variants, the position embedding, and dropout."""

import functools
from typing import Any

import jax
import numpy as np
import pytest

import workloads
from tests import golden_support
from tests.golden_support import COMPILE_QUICKLY
from tests.workloads import reduced
from workloads.imagenet_vit.model import position_embedding

VARIANTS = ["imagenet_vit", "imagenet_vit_glu", "imagenet_vit_map", "imagenet_vit_post_ln"]


@pytest.mark.parametrize(
    ("name", "validation", "test"),
    [
        ("imagenet_vit", 0.77309, 0.6519),
        ("imagenet_vit_glu", 0.75738, 0.6359),
        ("imagenet_vit_post_ln", 0.75312, 0.6286),
        ("imagenet_vit_map", 0.77113, 0.6523),
    ],
)
def test_published_facts(name: str, validation: float, test: float) -> None:
    workload = workloads.load(name, data_dir="D")
    assert (workload.goal.validation, workload.goal.test) == (validation, test)
    assert (workload.budget.max_runtime_sec, workload.budget.eval_period_sec) == (69_768, 420)
    assert workload.budget.step_hint == 167_999
    assert workload.eval_batch_size == 2_048
    assert workload.dropout_rate == 0.0
    assert workload.split_sizes == {"train": 1_281_167, "eval_train": 51_200, "validation": 50_000, "test": 10_000}


def test_positions_by_the_formula() -> None:
    found = position_embedding(3, 2, 16)
    assert found.shape == (6, 16)
    for row in range(3):
        for column in range(2):
            for k in range(4):
                frequency = 10_000 ** (-k / 3)
                x, y = column * frequency, row * frequency
                expected = [np.sin(x), np.cos(x), np.sin(y), np.cos(y)]
                np.testing.assert_allclose(found[2 * row + column, k::4], expected, rtol=1e-12)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_rate_of_zero_changes_nothing_and_another_needs_no_new_program(name: str) -> None:
    workload, batch = reduced.load(name), reduced.batch(name)
    params, state = golden_support.recipe_state(workload)

    def forward(rate: Any, seed: Any) -> Any:
        key = jax.random.PRNGKey(seed)
        return workload.apply(params, state, batch, key, train=True, update_batch_norm=True, dropout_rate=rate)[0]

    trained: Any = jax.jit(forward, compiler_options=COMPILE_QUICKLY)
    evaluated, new_state = jax.jit(
        lambda: workload.apply(params, state, batch, None, train=False, update_batch_norm=False),
        compiler_options=COMPILE_QUICKLY,
    )()
    assert new_state is None
    np.testing.assert_allclose(trained(0.0, 0), evaluated, rtol=0, atol=1e-5)
    dropped = trained(0.5, 0)
    assert not np.allclose(dropped, evaluated, atol=1e-2)
    assert not np.allclose(dropped, trained(0.5, 1), atol=1e-2)
    assert trained._cache_size() == 1


def test_all_classes_are_equally_likely_at_the_start() -> None:
    workload, batch = reduced.load("imagenet_vit"), reduced.batch("imagenet_vit")

    @functools.partial(jax.jit, compiler_options=COMPILE_QUICKLY)
    def logits_at_the_start(batch: Any) -> Any:
        params, state = workload.init(jax.random.PRNGKey(0))
        return workload.apply(params, state, batch, None, train=False, update_batch_norm=False)[0]

    logits = logits_at_the_start(batch)
    assert not np.any(logits)
    loss = workload.loss(batch["targets"], logits)
    np.testing.assert_allclose(loss.per_example, np.log(10), rtol=1e-6)
