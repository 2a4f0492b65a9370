"""Crops, resampling and augmentation, compared with the reference's numbers."""

import numpy as np
import pytest

from tests.workloads.imagenet.images import golden
from workloads.imagenet import crops, finishing, randaugment, resampling
from workloads.imagenet.decoding import decode

SIZES = ("375x500", "500x375", "256x256", "200x900")


# --- evaluation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("height", "width", "crop"),
    [
        (211, 333, (14, 75, 184, 184)),
        (300, 187, (69, 12, 163, 163)),
        (256, 256, (16, 16, 224, 224)),
        (97, 131, (7, 24, 84, 84)),
        (375, 500, (24, 86, 328, 328)),
        (1, 1, (0, 0, 1, 1)),
    ],
)
def test_the_middle_of_an_image(height: int, width: int, crop: tuple[int, ...]) -> None:
    assert crops.center(height, width) == crop


@pytest.mark.parametrize("number", range(5))
def test_evaluation_images_are_those_of_the_reference(number: int) -> None:
    numbers = golden("imagenet_preprocess")

    def check(crop: np.ndarray) -> np.ndarray:
        found = finishing.normalized(resampling.resize(crop, 224))
        whole = f"eval/{number}/output"
        return (
            np.abs(found - numbers[whole])
            if whole in numbers
            else np.abs(found[::4, ::4] - numbers[f"{whole}_stride4"])
        )

    assert check(numbers[f"eval/{number}/decoded_crop"]).max() < 1e-5
    pixels = decode(numbers[f"eval/{number}/jpeg_bytes"].tobytes())
    error = check(crops.center(*pixels.shape[:2]).of(pixels))
    assert error.mean() < 0.001
    assert error.max() < 0.25, "columns at the edge, see test_decoding"


def test_resizing_to_the_same_size_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    np.testing.assert_array_equal(resampling.resize(image, 20), image)
    np.testing.assert_array_equal(resampling.resize(image, 20, mirror=True), image[:, ::-1])


@pytest.mark.parametrize(("height", "width"), [(7, 90), (300, 11), (1, 1)])
def test_taps_reproduce_linear_ramps_inside(height: int, width: int) -> None:
    """Keys' kernel is exact for polynomials; constants are kept up to the border."""
    flat = resampling.resize(np.full((height, width, 3), 77, np.uint8), 32)
    np.testing.assert_allclose(flat, 77, rtol=1e-6)
    if width > 32:
        ramp = np.broadcast_to(np.arange(width, dtype=np.uint8)[:, None], (height, width, 3))
        centers = (np.arange(32) + 0.5) * width / 32 - 0.5
        # Positions are rounded to 1/1024.
        np.testing.assert_allclose(resampling.resize(ramp, 32)[0, 1:-1, 0], centers[1:-1], atol=1e-3)


# --- training crops -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_random_crops_are_distributed_as_in_the_reference(size: str) -> None:
    numbers = golden("imagenet_augment")
    height, width = map(int, size.split("x"))
    count = 6_000
    rng = np.random.default_rng(0)
    drawn = np.array([crops.random(rng, height, width) for _ in range(count)])
    top, left, tall, wide = drawn.T
    levels = numbers["rrc/quantile_levels"]
    inner = (levels > 0) & (levels < 1)
    # Both sides are samples of about 6000: 4 standard deviations of the difference of two empirical distributions.
    tolerance = 4 * np.sqrt(levels * (1 - levels) * 2 / count)[inner] + 0.003
    for name, values in (("area", tall * wide / height / width), ("aspect", wide / tall), ("height", tall)):
        expected = numbers[f"rrc/{size}/{name}_quantiles"]
        # Heights are whole numbers, so a level may be anywhere within a step.
        below = np.array([(values < quantile - 1e-9).mean() for quantile in expected])
        up_to = np.array([(values <= quantile + 1e-9).mean() for quantile in expected])
        assert (below[inner] <= levels[inner] + tolerance).all(), name
        assert (up_to[inner] >= levels[inner] - tolerance).all(), name
    assert (tall * wide >= 0.1 * height * width).all()
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + tall <= height).all()
    assert (left + wide <= width).all()
    reference = numbers[f"rrc/{size}/sample_y_x_h_w"].astype(int)
    for free, offset, ref_free, ref_offset in (
        (height - tall, top, height - reference[:, 2], reference[:, 0]),
        (width - wide, left, width - reference[:, 3], reference[:, 1]),
    ):
        ours = (offset / np.maximum(free, 1))[free > 0]
        theirs = (ref_offset / np.maximum(ref_free, 1))[ref_free > 0]
        assert abs(ours.mean() - theirs.mean()) < 4 * 0.3 * np.sqrt(1 / len(ours) + 1 / len(theirs))


def test_an_image_that_fits_no_random_crop_is_cropped_in_the_middle() -> None:
    rng = np.random.default_rng(0)
    assert {crops.random(rng, 4, 2_000) for _ in range(20)} == {crops.center(4, 2_000)}


def test_the_smallest_images() -> None:
    rng = np.random.default_rng(0)
    for height, width in ((1, 1), (1, 2), (2, 1), (3, 2)):
        for _ in range(50):
            crop = crops.random(rng, height, width)
            assert 1 <= crop.height <= height
            assert 1 <= crop.width <= width


# --- RandAugment ----------------------------------------------------------------------------------------------------

SIGNED = {
    "Rotate": (randaugment.rotate, 30.0),
    "ShearX": (randaugment.shear_x, 0.3),
    "ShearY": (randaugment.shear_y, 0.3),
    "TranslateX": (randaugment.translate_x, 100.0),
    "TranslateY": (randaugment.translate_y, 100.0),
}
PLAIN = sorted(set(randaugment.OPERATIONS) - set(SIGNED) - {"Cutout"})


def difference(found: np.ndarray, expected: np.ndarray) -> int:
    assert found.dtype == expected.dtype == np.uint8
    return int(np.abs(found.astype(int) - expected).max())


@pytest.mark.parametrize("name", PLAIN)
def test_operations_without_a_sign(name: str) -> None:
    numbers, rng = golden("imagenet_augment"), np.random.default_rng(0)
    tolerance = 1 if name == "Sharpness" else 0
    for prefix in ("", "lowrange_"):
        if f"randaug/{prefix}{name}" in numbers:
            image = numbers[f"randaug/{prefix}input"]
            found = randaugment.OPERATIONS[name](image, rng)
            assert difference(found, numbers[f"randaug/{prefix}{name}"]) <= tolerance, prefix


@pytest.mark.parametrize("name", sorted(SIGNED))
def test_operations_with_a_sign(name: str) -> None:
    numbers, (operation, amount) = golden("imagenet_augment"), SIGNED[name]
    image, both = numbers["randaug/input"], []
    for sign, word in ((1, "pos"), (-1, "neg")):
        both.append(operation(image, sign * amount))
        assert difference(both[-1], numbers[f"randaug/{name}_{word}"]) == 0
    drawn = [randaugment.OPERATIONS[name](image, np.random.default_rng(seed)) for seed in range(16)]
    assert all(any(np.array_equal(one, other) for other in both) for one in drawn)
    assert {np.array_equal(one, both[0]) for one in drawn} == {True, False}


def test_solarize_at_a_threshold_that_does_not_wrap() -> None:
    numbers = golden("imagenet_augment")
    assert difference(randaugment.solarize(numbers["randaug/input"], 128), numbers["randaug/Solarize_128"]) == 0


def test_contrast_of_a_whole_input() -> None:
    numbers = golden("imagenet_augment")
    image = np.zeros((224, 224, 3), np.uint8)
    image[::8, ::8] = numbers["randaug/contrast224_input_stride8"]
    assert difference(randaugment.contrast(image)[::8, ::8], numbers["randaug/contrast224_output_stride8"]) == 0


def test_cutouts_are_as_large_as_in_the_reference() -> None:
    expected = golden("imagenet_augment")["randaug/cutout_extents"]
    rng, extents = np.random.default_rng(0), []
    for _ in range(2_000):
        covered = randaugment.cutout(np.zeros((128, 160, 3), np.uint8), rng)[..., 0] == randaugment.FILL
        extents.append((covered.any(axis=1).sum(), covered.any(axis=0).sum()))
    found = np.array(extents)
    assert found.min() == expected.min() == 40
    assert found.max() == expected.max() == 80
    np.testing.assert_allclose(found.mean(axis=0), expected.mean(axis=0), atol=4 * 14 / np.sqrt(len(expected)))


def test_flat_images_and_all_operations_on_odd_sizes() -> None:
    flat = np.full((33, 47, 3), 90, np.uint8)
    np.testing.assert_array_equal(randaugment.auto_contrast(flat), flat)
    np.testing.assert_array_equal(randaugment.equalize(flat), flat)
    for name, operation in randaugment.OPERATIONS.items():
        found = operation(flat, np.random.default_rng(0))
        assert (found.shape, found.dtype) == (flat.shape, flat.dtype), name


def test_augmentation_draws_two_of_all_operations() -> None:
    image = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    found = {randaugment.augment(image, np.random.default_rng(seed)).tobytes() for seed in range(64)}
    assert len(found) > 40
    again = randaugment.augment(image, np.random.default_rng(3))
    np.testing.assert_array_equal(again, randaugment.augment(image, np.random.default_rng(3)))


# --- mixup ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(3))
def test_mixup(number: int) -> None:
    numbers = golden("imagenet_augment")
    weight, inputs, labels = numbers[f"mixup/{number}/weight"], numbers["mixup/inputs"], numbers["mixup/targets"]
    found = finishing.mixed(inputs, np.roll(inputs, 1, axis=0), weight)
    np.testing.assert_allclose(found, numbers[f"mixup/{number}/inputs_out"], rtol=1e-6, atol=1e-6)
    hot = finishing.one_hot(labels, 1000)
    targets = finishing.mixed(hot, np.roll(hot, 1, axis=0), weight)
    rows, before = np.arange(len(labels)), np.roll(labels, 1)
    np.testing.assert_allclose(targets[rows, labels], numbers[f"mixup/{number}/targets_out_at_y"], rtol=1e-6)
    np.testing.assert_allclose(targets[rows, before], numbers[f"mixup/{number}/targets_out_at_prev"], rtol=1e-6)
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
