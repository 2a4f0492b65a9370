"""Features against the reference's and against the plain form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import golden_support
from tests.workloads.speech.plain_features import plain_log_mel
from workloads.speech.feature_statistics import MEAN, STDDEV
from workloads.speech.features import hann_window, log_mel, mel_matrix, num_frames, num_logit_frames


def test_constants_are_those_of_the_reference() -> None:
    golden = golden_support.numbers("librispeech_features")
    np.testing.assert_array_equal(MEAN, golden["const/mean"])
    np.testing.assert_array_equal(STDDEV, golden["const/stddev"])
    # The reference makes both in float32.
    np.testing.assert_allclose(hann_window(), golden["const/window_400"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(mel_matrix(), golden["const/mel_matrix_257x80"], rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", ["noise", "speechlike"])
def test_features_and_paddings_are_those_of_the_reference(name: str) -> None:
    golden = golden_support.numbers("librispeech_features")
    if f"{name}/features" not in golden:
        pytest.skip("only the folder of ALGOPERF_GOLDEN_DIR has these numbers")
    lengths = (golden[f"{name}/paddings"] == 0).sum(axis=1).astype(np.int32)
    features, paddings = jax.jit(log_mel)(golden[f"{name}/audio_int16"], lengths)
    np.testing.assert_array_equal(paddings, golden[f"{name}/feature_paddings"])
    # Both are off by as much from what float64 gives.
    np.testing.assert_allclose(features, golden[f"{name}/features"], rtol=0, atol=2e-4)


@pytest.mark.parametrize("samples", [401, 560, 561, 1_919, 1_920])
def test_frames_of_any_number_of_samples_are_those_of_the_plain_form(samples: int) -> None:
    waveforms = np.random.default_rng(samples).integers(-3_000, 3_000, (3, samples)).astype(np.int16)
    lengths = np.array([samples, samples - 160, 161], np.int32)
    expected, found = jax.jit(plain_log_mel)(waveforms, lengths), jax.jit(log_mel)(waveforms, lengths)
    assert found[0].shape == (3, num_frames(samples), 80)
    np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=2e-4)
    np.testing.assert_array_equal(found[1], expected[1])


def test_numbers_of_frames() -> None:
    assert (num_frames(320_000), num_logit_frames(320_000)) == (1_998, 500)
    assert num_logit_frames(40_000) == 62
    assert num_frames(400) == num_logit_frames(400) == 0


def test_integers_and_floats_give_the_same() -> None:
    waveforms = jnp.asarray(np.random.default_rng(0).integers(-(2**15), 2**15, (1, 800)), jnp.int16)
    of_integers, of_floats = (log_mel(waveforms.astype(dtype), jnp.array([800])) for dtype in (jnp.int16, jnp.float32))
    np.testing.assert_array_equal(of_integers[0], of_floats[0])
