"""Masks of SpecAugment from the reference's uniform numbers, and how much they hide."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from tests import golden_support
from workloads.speech.spec_augment import NO_MASKS, SpecAugment, Uniforms, visible

SETTINGS = {"base": SpecAugment(), "norm_and_spec_aug": SpecAugment(num_time_masks=15, num_frequency_masks=4)}


@pytest.mark.parametrize("to_array", [jnp.asarray, torch.from_numpy], ids=["jax", "torch"])
@pytest.mark.parametrize("name", SETTINGS)
def test_masks_are_those_of_the_reference(name: str, to_array: Callable[[np.ndarray], Any]) -> None:
    golden = golden_support.numbers("librispeech_specaugment")
    drawn = [golden[f"{name}/uniform_{axis}_{what}"] for axis in ("time", "freq") for what in ("size", "start")]
    found = visible(Uniforms(*map(to_array, drawn)), to_array(golden[f"{name}/lengths"]), 120, 80)
    # The reference stores what is left.
    np.testing.assert_array_equal(np.asarray(found), golden[f"{name}/mask"])


@pytest.mark.parametrize("name", SETTINGS)
def test_as_much_is_hidden_as_in_the_reference(name: str) -> None:
    golden = golden_support.numbers("librispeech_specaugment")
    fractions, errors = (
        golden[f"{name}/masked_fraction_time500_time300_padding_freq"],
        golden[f"{name}/masked_fraction_standard_error"],
    )
    augment, rows, lengths = SETTINGS[name], 1_000, (500, 300)

    @jax.jit
    def shares(key: jax.Array) -> tuple[Any, Any]:
        of_frames = jnp.repeat(jnp.array(lengths), rows // 2)
        paddings = (jnp.arange(500) >= of_frames[:, None]).astype(jnp.float32)
        hidden = augment(jnp.ones((rows, 500, 80)), paddings, key) == 0
        in_time, in_frequency = hidden.all(axis=2), hidden.all(axis=1)
        counted = in_time.sum(axis=1) / of_frames
        return [part.mean() for part in jnp.split(counted, 2)], in_frequency.mean()

    of_time, of_frequency = shares(jax.random.PRNGKey(0))
    found = np.array([*of_time, of_frequency])
    # Draws as many as a fraction of the reference's: five standard errors of the difference.
    scale = np.sqrt(1 + 30 * 64 / np.array([rows / 2, rows / 2, rows]))
    assert (np.abs(found - fractions[[0, 1, 3]]) < 5 * scale * errors[[0, 1, 3]]).all()


def test_hidden_features_are_0_and_others_as_they_were() -> None:
    features = jnp.asarray(np.random.default_rng(0).standard_normal((4, 120, 80), np.float32))
    augmented = np.asarray(SpecAugment()(features, jnp.zeros((4, 120)), jax.random.PRNGKey(1)))
    hidden = augmented == 0
    assert 0.1 < hidden.mean() < 0.7
    np.testing.assert_array_equal(augmented[~hidden], np.asarray(features)[~hidden])
    np.testing.assert_array_equal(NO_MASKS(features, jnp.zeros((4, 120)), jax.random.PRNGKey(1)), features)
