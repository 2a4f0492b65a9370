"""Both speech models: rows of any length, padding, where dropout acts, and the published facts."""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np
import pytest

import workloads
from algoperf_jax.errors import ConfigError
from tests import golden_support
from tests.golden_support import COMPILE_QUICKLY
from tests.workloads import reduced
from workloads.librispeech_deepspeech.architecture import Architecture
from workloads.speech.sizes import samples_needed

NAMES = ("librispeech_conformer", "librispeech_deepspeech", "librispeech_deepspeech_norm_and_spec_aug")


@functools.cache
def small(name: str) -> tuple[Any, Any, dict[str, Any]]:
    """The small workload, parameters with state, and a batch."""
    workload = reduced.load(name)
    return workload, golden_support.recipe_state(workload), reduced.batch(name)


def gradient_step(workload: Any, params: Any, state: Any, batch: Any, *, dropout_rate: float = 0.0) -> Any:
    """Loss of each utterance, gradients and new statistics of a training step."""

    def objective(params: Any, state: Any, batch: Any) -> Any:
        logits, new_state = workload.apply(
            params,
            state,
            batch,
            jax.random.PRNGKey(0),
            train=True,
            update_batch_norm=True,
            dropout_rate=dropout_rate,
        )
        found = workload.loss(batch["targets"], logits, batch["weights"])
        return found.summed / found.n_valid_examples, (found.per_example, new_state)

    step = jax.jit(jax.value_and_grad(objective, has_aux=True), compiler_options=COMPILE_QUICKLY)
    (_, (per_example, new_state)), gradients = step(params, state, batch)
    return jax.device_get((per_example, gradients, new_state))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_rows_that_are_longer_give_the_same_numbers(name: str) -> None:
    """Losses, gradients and batch statistics of a trimmed batch are those of an untrimmed one."""
    workload, (params, state), batch = small(name)
    length = int(samples_needed(batch["input_lengths"], 320_000).max())
    ids, paddings = batch["targets"]
    found = []
    for samples, targets in ((length, ids.shape[1]), (length + 5 * 640, ids.shape[1] + 7)):
        inputs = np.zeros((len(ids), samples), np.float32)
        inputs[:, : batch["inputs"].shape[1]] = batch["inputs"]
        more = ((0, 0), (0, targets - ids.shape[1]))
        longer = {**batch, "inputs": inputs, "targets": (np.pad(ids, more), np.pad(paddings, more, constant_values=1))}
        found.append(gradient_step(workload, params, state, longer))

    def same(one: np.ndarray, other: np.ndarray) -> None:
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4 * np.abs(other).max() + 1e-6)

    jax.tree.map(same, *found)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_behind_the_end_of_an_utterance_changes_nothing(name: str) -> None:
    workload, (params, state), batch = small(name)
    apply = functools.partial(workload.apply, train=False, update_batch_norm=False)
    evaluate = jax.jit(apply, compiler_options=COMPILE_QUICKLY)
    behind = np.arange(batch["inputs"].shape[1]) >= batch["input_lengths"][:, None]
    noise = np.where(behind, 1_000.0, batch["inputs"]).astype(np.float32)
    (logits, paddings), (others, _) = (
        evaluate(params, state, {**batch, "inputs": inputs}, jax.random.PRNGKey(0))[0]
        for inputs in (batch["inputs"], noise)
    )
    assert 0 < paddings.sum() < paddings.size
    np.testing.assert_array_equal(logits, others)


@pytest.mark.parametrize("name", NAMES[:2])
def test_the_rate_of_dropout_matters_in_training_only(name: str) -> None:
    workload, (params, state), batch = small(name)

    @functools.partial(jax.jit, static_argnums=0, compiler_options=COMPILE_QUICKLY)
    def logits(train: bool, rate: float, key: jax.Array) -> Any:
        return workload.apply(params, state, batch, key, train=train, update_batch_norm=False, dropout_rate=rate)[0][0]

    keys = jax.random.PRNGKey(0), jax.random.PRNGKey(1)
    np.testing.assert_array_equal(logits(True, 0.0, keys[0]), logits(True, 0.0, keys[1]))
    np.testing.assert_array_equal(logits(False, 0.5, keys[0]), logits(False, 0.0, keys[1]))
    assert not np.allclose(logits(True, 0.5, keys[0]), logits(True, 0.5, keys[1]), atol=1e-2)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("librispeech_conformer", (58_015, 1_440, 76_000, 256)),
        ("librispeech_conformer_gelu", (58_015, 1_440, 76_000, 256)),
        ("librispeech_deepspeech", (44_405, 1_440, 38_400, 256)),
        ("librispeech_deepspeech_norm_and_spec_aug", (44_405, 1_440, 38_400, 128)),
    ],
)
def test_published_facts(name: str, expected: tuple[int, ...]) -> None:
    workload = workloads.load(name, data_dir="D")
    budget = dataclasses.astuple(workload.budget)
    assert (*budget, workload.eval_batch_size) == expected
    assert (workload.goal.metric, workload.goal.direction) == ("wer", "minimize")
    assert workload.split_sizes == {"train": 263_840, "eval_train": 5_376, "validation": 5_348, "test": 2_472}
    assert workload.dropout_rate == 0.1


def test_masks_of_the_variants() -> None:
    counts = {}
    for name in ("librispeech_deepspeech", "librispeech_deepspeech_norm_and_spec_aug"):
        architecture: Architecture = workloads.load(name).model_arguments["architecture"]
        counts[name] = dataclasses.astuple(architecture.spec_augment)
    assert list(counts.values()) == [(10, 2), (15, 4)]


@pytest.mark.parametrize(
    ("name", "argument", "line"),
    [
        ("librispeech_conformer", {"activation": "swish"}, "activation of librispeech_conformer: found 'swish'"),
        ("librispeech_conformer", {"size": "smal"}, "size of librispeech_conformer: found 'smal'"),
        ("librispeech_deepspeech", {"normalization": "bach"}, "normalization of librispeech_deepspeech: found 'bach'"),
    ],
)
def test_an_unknown_argument_is_answered_in_one_line(name: str, argument: dict[str, str], line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        workloads.load(name, **argument)
