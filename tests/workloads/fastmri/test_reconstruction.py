"""Masks and preprocessing against the reference's numbers; masks and seeds agree exactly."""

import numpy as np
import pytest

from tests import golden_support
from workloads.fastmri import masks
from workloads.fastmri.data import evaluation_seeds, training_seeds
from workloads.fastmri.reconstruction import IMAGE_SIZE, Slice, reconstruct, to_hybrid_space

# Float32 transforms differ by 1.7e-6 from the reference's, which is itself within 1.5e-6 of float64.
ATOL = 5e-6


def preprocess() -> dict[str, np.ndarray]:
    return dict(golden_support.numbers("fastmri_preprocess"))


def test_random_numbers_of_evaluation() -> None:
    drawn = masks.uniforms(masks.EVALUATION_SEED, 512)
    np.testing.assert_array_equal(drawn[0], preprocess()["eval/uniform_first_512"])


def test_masks_of_evaluation() -> None:
    golden = preprocess()
    drawn = masks.uniforms(masks.EVALUATION_SEED, 512)[0]
    for width, low, start, count in golden["eval/W_numlow_pad_ncols"]:
        kept = masks.kept_columns(width, drawn)
        assert masks.num_low_frequencies(width) == low
        assert masks.probability(width) == golden[f"eval/prob_W{width}"]
        assert kept[start : start + low].all()
        assert kept.sum() == count
        np.testing.assert_array_equal(kept, golden[f"eval/mask_W{width}"])


def test_seeds_and_masks_of_training() -> None:
    golden = preprocess()
    # The data key is that of a seed.
    assert golden["train/data_key"][0] == 0
    seeds = training_seeds(int(golden["train/data_key"][1]))(golden["train/example_index"])
    np.testing.assert_array_equal(seeds, golden["train/seed_int64"])
    np.testing.assert_array_equal(masks.kept_columns(368, masks.uniforms(seeds, 368)), golden["train/mask_W368"])


def test_evaluation_slices_share_a_seed() -> None:
    assert not evaluation_seeds(np.arange(3)).any()


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_small_slices(mode: str) -> None:
    golden = preprocess()
    _, height, width = golden["small/target"].shape
    hybrid = to_hybrid_space(golden["small/kspace"], height)
    assert hybrid.dtype == np.complex64
    for index, (spectrum, target) in enumerate(zip(hybrid, golden["small/target"], strict=True)):
        kept = golden[f"small/{mode}/mask"][index].astype(bool)
        found = reconstruct(Slice(spectrum, target, 1.0), kept, (height, width))
        for field in ("inputs", "targets", "mean", "std"):
            value = np.asarray(getattr(found, field))
            assert value.dtype == np.float32
            expected = golden[f"small/{mode}/{field}"][index]
            atol = ATOL if value.ndim else 0.0
            np.testing.assert_allclose(value, expected, rtol=2e-6, atol=atol, err_msg=f"{field} {index}")


def test_full_slice() -> None:
    golden = preprocess()
    if "full/kspace_int16_re_im" not in golden:
        pytest.skip("ALGOPERF_GOLDEN_DIR names the folder with the full slice")
    kspace = (golden["full/kspace_int16_re_im"] * golden["full/kspace_scale"]).view(np.complex64)[..., 0]
    shifted = np.fft.ifft2(np.fft.ifftshift(kspace.astype(np.complex128)), norm="ortho")
    target = np.abs(np.fft.fftshift(shifted))[160:480, 24:344].astype(np.float32)
    kept = masks.kept_columns(368, masks.uniforms(masks.EVALUATION_SEED, 368)[0])
    hybrid = to_hybrid_space(kspace, IMAGE_SIZE)
    found = reconstruct(Slice(hybrid, target, 1.0), kept, (IMAGE_SIZE, IMAGE_SIZE))
    for field in ("inputs", "targets"):
        values = getattr(found, field)
        np.testing.assert_allclose(values[::4, ::4], golden[f"full/{field}_stride4"], rtol=0, atol=ATOL)
        assert np.square(values, dtype=np.float64).sum() == pytest.approx(golden[f"full/{field}_mean_std_sumsq"][2])
    assert found.mean == pytest.approx(golden["full/mean"], rel=1e-6)
    assert found.std == pytest.approx(golden["full/std"], rel=1e-6)


def test_a_smaller_image_is_the_centre_of_the_whole_one() -> None:
    """Before normalization; odd and even widths have different centres."""
    rng = np.random.default_rng(0)
    for width in (23, 24):
        hybrid = rng.standard_normal((20, 2 * width), np.float32).view(np.complex64)
        target = rng.random((20, 20), np.float32)
        kept = rng.random(width) < 0.5
        example = Slice(hybrid, target, 1.0)
        whole, part = (reconstruct(example, kept, (size, size)) for size in (20, 10))
        raw_whole, raw_part = (found.inputs * found.std + found.mean for found in (whole, part))
        np.testing.assert_allclose(raw_part, raw_whole[5:15, 5:15], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(part.targets * part.std + part.mean, target[5:15, 5:15], rtol=1e-4, atol=1e-5)
