import os
import pathlib
from collections.abc import Callable

import jax
import numpy as np
import pytest

import workloads
from algoperf_jax import prepare
from algoperf_jax.errors import DataError
from algoperf_jax.workload import Placement, Workload
from tests import golden_support
from workloads.cifar import builtin
from workloads.cifar.data import TRAIN_MEAN, TRAIN_STDDEV, augment, draw_augmentation, normalize

TEST_DATA = os.environ.get("ALGOPERF_TEST_DATA")
PLACEMENT = Placement()


def examples(count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "image": rng.integers(1, 256, (count, 32, 32, 3), dtype=np.uint8),
        "label": rng.integers(10, size=count).astype(np.uint8),
    }


def pixels(inputs: np.ndarray) -> np.ndarray:
    """Back to 0 .. 255."""
    values = 255 * (inputs * np.asarray(TRAIN_STDDEV) + np.asarray(TRAIN_MEAN))
    np.testing.assert_allclose(values, values.round(), atol=1e-3)
    return values.round().astype(np.uint8)


def test_published_facts() -> None:
    workload = workloads.load("cifar", data_dir="D")
    assert (workload.goal.validation, workload.goal.test) == (0.85, 0.85)
    assert (workload.budget.max_runtime_sec, workload.budget.eval_period_sec) == (3_600, 600)
    assert workload.budget.step_hint == 4_883
    assert workload.split_sizes == {"train": 45_000, "eval_train": 5_120, "validation": 5_000, "test": 10_000}
    assert workload.eval_batch_size == 1_024


def test_normalization_is_that_of_the_reference() -> None:
    golden = golden_support.numbers("cifar")
    batch = normalize({"image": golden["inputs/image_uint8"], "label": golden["inputs/targets"].astype(np.uint8)})
    np.testing.assert_allclose(batch["inputs"], golden["inputs/inputs"], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(batch["targets"], golden["inputs/targets"])


def test_the_middle_crop_without_mirroring_is_the_image() -> None:
    columns = examples(5)
    drawn = {"top": np.full(5, 2), "left": np.full(5, 2), "flip": np.zeros(5, bool)}
    np.testing.assert_array_equal(augment({**columns, **drawn})["inputs"], normalize(columns)["inputs"])


def test_crop_and_mirroring_pixel_by_pixel() -> None:
    columns = examples(4)
    drawn = {
        "top": np.array([0, 4, 2, 1]),
        "left": np.array([0, 4, 2, 3]),
        "flip": np.array([False, False, True, True]),
    }
    found = pixels(augment({**columns, **drawn})["inputs"])
    images = columns["image"]
    # Two black rows and columns at the upper left, then at the lower right.
    np.testing.assert_array_equal(found[0, 2:, 2:], images[0, :-2, :-2])
    assert not found[0, :2].any()
    assert not found[0, :, :2].any()
    np.testing.assert_array_equal(found[1, :-2, :-2], images[1, 2:, 2:])
    assert not found[1, -2:].any()
    assert not found[1, :, -2:].any()
    np.testing.assert_array_equal(found[2], images[2, :, ::-1])
    # One row down and one column to the left, then mirrored.
    np.testing.assert_array_equal(found[3, 1:, 1:], images[3, :-1, 1:][:, ::-1])


def test_augmentation_draws_every_crop_and_both_directions() -> None:
    drawn = draw_augmentation(np.random.default_rng(0), 2_000)
    crops = np.stack([drawn["top"], drawn["left"]], axis=1)
    assert len(np.unique(crops, axis=0)) == 25
    assert set(drawn["top"]) == set(drawn["left"]) == set(range(5))
    assert 0.45 < drawn["flip"].mean() < 0.55


def test_only_training_batches_are_augmented() -> None:
    workload = workloads.load("cifar")
    plain = workload.data.open("eval_train", batch_size=512, seed=0, placement=PLACEMENT).batch(0)["inputs"]
    train = workload.data.open("train", batch_size=4_096, seed=0, placement=PLACEMENT)
    first, second = (train.batch(k)["inputs"] for k in range(2))
    known = {image.tobytes() for image in plain}
    # One crop of 25 and one mirroring of 2 leave an image unchanged; another pass draws different ones.
    unchanged = [sum(image.tobytes() in known for image in images) for images in (first, second)]
    assert all(0 <= count < 40 for count in unchanged)
    assert len({image.tobytes() for image in np.concatenate([first, second])}) > 7_500


BatchNormFlags = dict[str, bool | None]


@pytest.fixture(scope="module")
def forward() -> Callable[[BatchNormFlags], tuple[np.ndarray, bool]]:
    """Logits of the golden batch, and whether the running statistics changed."""
    workload, golden = workloads.load("cifar"), golden_support.numbers("cifar")
    params, state = golden_support.recipe_state(workload)
    batch = {"inputs": golden["inputs/inputs"]}

    def run(flags: BatchNormFlags) -> tuple[np.ndarray, bool]:
        apply = jax.jit(lambda params, state: workload.apply(params, state, batch, None, train=True, **flags))  # pyright: ignore
        logits, new_state = apply(params, state)
        pairs = zip(jax.tree.leaves(state), jax.tree.leaves(new_state), strict=True)
        return logits, any(not np.array_equal(old, new) for old, new in pairs)

    return run


@pytest.mark.parametrize(
    ("flags", "golden_name", "changes"),
    [
        ({"update_batch_norm": True}, "train/logits", True),
        ({"update_batch_norm": False}, "train/logits_update_batch_norm_false", False),
        (
            {"update_batch_norm": True, "use_running_average": True},
            "train/logits_use_running_average_true",
            False,
        ),
        ({"update_batch_norm": False, "use_running_average": False}, "train/logits", False),
    ],
)
def test_which_statistics_normalize_and_which_are_kept(
    forward: Callable[[BatchNormFlags], tuple[np.ndarray, bool]], flags: BatchNormFlags, golden_name: str, changes: bool
) -> None:
    logits, changed = forward(flags)
    golden_support.assert_close(logits, golden_support.numbers("cifar")[golden_name], rtol=1e-5, atol=2e-5)
    assert changed == changes


def test_builtin_shapes() -> None:
    one, other = (builtin.generate(np.random.default_rng(seed), 500) for seed in (0, 1))
    assert one["image"].shape == (500, 32, 32, 3)
    assert one["image"].dtype == one["label"].dtype == np.uint8
    assert (np.bincount(one["label"], minlength=10) > 25).all()
    assert not np.array_equal(one["image"], other["image"])
    assert len(np.unique(one["image"], axis=0)) == 500


def test_missing_data_are_an_error_that_names_the_remedy(tmp_path: pathlib.Path) -> None:
    workload = workloads.load("cifar", data_dir=str(tmp_path))
    with pytest.raises(DataError, match=r"python -m algoperf_jax\.prepare cifar --data_dir="):
        workload.data.open("validation", batch_size=64, seed=0, placement=PLACEMENT)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Workload:
    if TEST_DATA is None:
        pytest.skip("ALGOPERF_TEST_DATA, the folder of raw data sets, is not set")
    data_dir = tmp_path_factory.mktemp("data")
    prepare.prepare("cifar", data_dir, raw=pathlib.Path(TEST_DATA) / "cifar10", force=False)
    return workloads.load("cifar", data_dir=str(data_dir))


def test_real_splits(real: Workload) -> None:
    sizes = real.data.describe()["split_sizes"]
    assert real.data.origin == "prepared"
    for split in ("train", "validation", "test"):
        reader = real.data.open(split, batch_size=64, seed=0, placement=PLACEMENT)
        assert reader.num_examples == sizes[split] > 0
    test = real.data.open("test", batch_size=64, seed=0, placement=PLACEMENT)
    # cat, ship, ship, airplane, frog: the first images of the test batch.
    assert test.batch(0)["targets"][:5].tolist() == [3, 8, 8, 0, 6]


def test_real_images_are_normalized(real: Workload) -> None:
    images = real.data.open("eval_train", batch_size=4_096, seed=0, placement=PLACEMENT).batch(0)["inputs"]
    np.testing.assert_allclose(images.mean(axis=(0, 1, 2)), 0, atol=0.1)
    np.testing.assert_allclose(images.std(axis=(0, 1, 2)), 1, atol=0.1)
