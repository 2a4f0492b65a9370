"""Features and SpecAugment of PyTorch against the reference's numbers."""

import copy

import numpy as np
import pytest
import torch

from tests import golden_support
from torch_compat.layers.log_mel import MelFilterbankFrontend, SpecAug
from workloads.speech.spec_augment import SpecAugment

FRAMES, BINS = 400, 80


@pytest.mark.parametrize("kind", ["noise", "speechlike"])
def test_features_are_those_of_the_reference(kind: str) -> None:
    numbers = golden_support.numbers("librispeech_features")
    if f"{kind}/features" not in numbers:
        pytest.skip("only the folder of ALGOPERF_GOLDEN_DIR has these numbers")
    lengths = (numbers[f"{kind}/paddings"] == 0).sum(axis=1)
    waveforms = torch.from_numpy(numbers[f"{kind}/audio_int16"])
    features, paddings = MelFilterbankFrontend()(waveforms, torch.from_numpy(lengths))
    # The largest difference of float32 and float64 is 4e-5.
    np.testing.assert_allclose(features, numbers[f"{kind}/features"], rtol=0, atol=2e-4)
    np.testing.assert_array_equal(paddings, numbers[f"{kind}/feature_paddings"])


def test_constants_follow_the_precision_and_the_matrix_is_no_buffer() -> None:
    frontend = MelFilterbankFrontend()
    assert [name for name, _ in frontend.named_buffers()] == ["_normalizer_mean", "_normalizer_stddev", "stft.window"]
    waveforms, lengths = torch.from_numpy(np.arange(1280, dtype=np.int16)[None]), torch.tensor([1280])
    single, double = (copy.deepcopy(frontend).to(dtype)(waveforms, lengths)[0] for dtype in (torch.float, torch.double))
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(single.double(), double, rtol=0, atol=1e-3)


def augmented(masks: SpecAugment, lengths: list[int]) -> torch.Tensor:
    """What is left of ones."""
    paddings = (torch.arange(FRAMES) >= torch.tensor(lengths)[:, None]).float()
    return SpecAug(masks)(torch.ones(len(lengths), FRAMES, BINS), paddings)


def test_training_hides_bands_of_time_and_frequency() -> None:
    torch.manual_seed(0)
    kept = augmented(SpecAugment(), [FRAMES] * 64)
    assert set(kept.unique().tolist()) == {0.0, 1.0}
    hidden_frames, hidden_bins = (kept == 0).all(dim=2), (kept == 0).all(dim=1)
    # The reference's shares for utterances of 300 and 500 frames, with five standard errors of 64 utterances.
    assert abs(hidden_frames.double().mean().item() - 0.213) < 0.04
    assert abs(hidden_bins.double().mean().item() - 0.293) < 0.1
    # Nothing but bands: a feature is hidden with its frame or with its bin.
    torch.testing.assert_close(kept == 0, hidden_frames[:, :, None] | hidden_bins[:, None])
    assert not torch.equal(kept[0], kept[1])


def test_time_masks_stay_inside_the_utterance() -> None:
    torch.manual_seed(0)
    kept = augmented(SpecAugment(num_frequency_masks=0), [100] * 16)
    assert kept[:, 100:].all()
    assert not kept[:, :100].all()


def test_evaluation_hides_nothing() -> None:
    features = torch.randn(2, FRAMES, BINS)
    assert SpecAug(SpecAugment()).eval()(features, torch.zeros(2, FRAMES)) is features
