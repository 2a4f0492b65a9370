"""Batches: the same regardless of who makes them, new crops in each epoch, and finished alike in both frameworks."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
import torch
from PIL import Image

from algoperf_jax.data import shuffle
from algoperf_jax.data.feed import DeviceFeed
from algoperf_jax.devices.mesh import make_layout
from algoperf_jax.errors import DataError
from algoperf_jax.workload import Batch, Data, Placement, SplitName
from tests.workloads.imagenet.images import encoded, photos, smooth
from workloads.imagenet import builtin, finishing
from workloads.imagenet.data import MIXUP_ALPHA, TRAIN_MEAN, TRAIN_STDDEV, Augmentation, open_data
from workloads.imagenet.rows import EvaluationRows, ImageFile, Request, TrainingRows

SIZES = {"train": 40, "eval_train": 12, "validation": 10, "test": 9}


@functools.cache
def data(augmentation: Augmentation = "resnet", workers: int = 0) -> Data:
    opened = open_data(
        None, image_size=32, num_classes=20, num_eval_train=12, split_sizes=SIZES, augmentation=augmentation
    )
    assert opened.with_workers is not None
    return opened.with_workers(workers)


def batch(
    k: int,
    augmentation: Augmentation = "resnet",
    *,
    split: SplitName = "train",
    seed: int = 1,
    workers: int = 0,
    placement: Placement = Placement(),
    size: int = 8,
) -> Batch:
    return data(augmentation, workers).open(split, batch_size=size, seed=seed, placement=placement).batch(k)


def assert_equal(one: Batch, other: Batch) -> None:
    jax.tree.map(np.testing.assert_array_equal, dict(one), dict(other))


@pytest.mark.parametrize("augmentation", ["resnet", "vit"])
@pytest.mark.parametrize("split", ["train", "eval_train"])
def test_workers_change_nothing(augmentation: Augmentation, split: SplitName) -> None:
    assert_equal(batch(1, augmentation, split=split, workers=2), batch(1, augmentation, split=split))


@pytest.mark.parametrize("augmentation", ["resnet", "vit"])
@pytest.mark.parametrize("process_count", [2, 4, 8])
def test_processes_share_one_global_batch(augmentation: Augmentation, process_count: int) -> None:
    parts = [
        batch(3, augmentation, placement=Placement(index, process_count, process_count))
        for index in range(process_count)
    ]
    joined = jax.tree.map(lambda *leaves: np.concatenate(leaves), *map(dict, parts))
    assert_equal(joined, batch(3, augmentation))


def test_schema() -> None:
    expected = {"inputs": (np.uint8, (8, 32, 32, 3)), "targets": (np.int32, (8,)), "weights": (np.float32, (8,))}
    assert {name: (leaf.dtype, leaf.shape) for name, leaf in batch(0).items()} == expected
    found = data("vit").open("train", batch_size=8, seed=1, placement=Placement()).finished(0)
    expected = {
        "inputs": (np.float32, (8, 32, 32, 3)),
        "targets": (np.float32, (8, 20)),
        "weights": (np.float32, (8,)),
    }
    assert {name: (leaf.dtype, leaf.shape) for name, leaf in found.items()} == expected
    sizes: tuple[tuple[SplitName, int], ...] = (("eval_train", 12), ("validation", 10), ("test", 9))
    for split, count in sizes:
        last = batch(1, "vit", split=split)
        assert last["inputs"].dtype == np.float32
        assert last["targets"].dtype == np.int32
        assert last["weights"].sum() == count - 8
        np.testing.assert_array_equal(last["inputs"][-1], batch(0, split=split)["inputs"][0])


def test_an_epoch_shows_each_image_once_and_the_next_crops_it_differently() -> None:
    first, second = ([batch(5 * epoch + k) for k in range(5)] for epoch in (0, 1))
    pixels = [{row.tobytes() for one in epoch for row in one["inputs"]} for epoch in (first, second)]
    assert len(pixels[0]) == len(pixels[1]) == 40
    assert not pixels[0] & pixels[1]
    for epoch in (first, second):
        labels = np.concatenate([one["targets"] for one in epoch])
        assert np.bincount(labels, minlength=20).tolist() == [2] * 20


def test_the_seed_decides_crops_of_the_same_image() -> None:
    files = builtin.BuiltinFiles("train", 32, 20, 40)
    rows = np.zeros((4, 32, 32, 3), np.uint8)
    for row, (seed, epoch) in zip(rows, ((0, 0), (1, 0), (0, 1), (0, 0)), strict=True):
        TrainingRows(files, seed, augment=True)(Request(7, epoch), row)
    assert (rows[0] == rows[3]).all()
    assert not (rows[0] == rows[1]).all()
    assert not (rows[0] == rows[2]).all()


def test_mixup_takes_the_image_before_in_the_global_batch() -> None:
    one, plain = batch(2, "vit"), batch(2)
    np.testing.assert_array_equal(one["partners"], np.roll(one["inputs"], 1, axis=0))
    weight = float(one["mix"][0])
    assert (one["mix"] == one["mix"][0]).all()
    hot = np.eye(20)[plain["targets"]]
    np.testing.assert_allclose(one["targets"], weight * hot + (1 - weight) * np.roll(hot, 1, axis=0), atol=1e-6)
    weights = [float(batch(k, "vit", size=1)["mix"][0]) for k in range(3)]
    assert len(set(weights)) == 3


def test_weights_of_mixup_follow_their_distribution() -> None:
    drawn = [shuffle.batch_generator(0, k).beta(MIXUP_ALPHA, MIXUP_ALPHA) for k in range(4_000)]
    assert abs(np.mean(drawn) - 0.5) < 4 * 0.4226 / np.sqrt(len(drawn))
    assert abs(np.std(drawn) - 0.4226) < 0.01


@pytest.mark.parametrize("augmentation", ["resnet", "vit"])
def test_both_frameworks_finish_alike(augmentation: Augmentation) -> None:
    reader = data(augmentation).open("train", batch_size=8, seed=1, placement=Placement())
    assert reader.finish is not None
    expected = reader.finished(0)
    on_devices = next(DeviceFeed(reader, make_layout(4).put_batch))
    assert on_devices["inputs"].sharding.num_devices == 4
    tensors = reader.finish({name: torch.from_numpy(np.array(leaf)) for name, leaf in reader.batch(0).items()})
    for found in (on_devices, tensors):
        assert sorted(found) == ["inputs", "targets", "weights"]
        for name, leaf in found.items():
            np.testing.assert_allclose(np.asarray(leaf), expected[name], rtol=1e-5, atol=1e-5)
    pixels = reader.batch(0)["inputs"].astype(np.float64)
    if augmentation == "resnet":
        by_hand = (pixels - np.array(TRAIN_MEAN)) / np.array(TRAIN_STDDEV)
        np.testing.assert_allclose(expected["inputs"], by_hand, atol=1e-5)


def test_mixing_pixels_is_mixing_normalized_inputs() -> None:
    one = batch(0, "vit")
    inputs, partners = finishing.normalized(one["inputs"]), finishing.normalized(one["partners"])
    found = finishing.finish_mixed(one)["inputs"]
    np.testing.assert_allclose(found, finishing.mixed(inputs, partners, one["mix"][0]), atol=1e-5)


@dataclasses.dataclass(frozen=True)
class Files:
    images: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int) -> ImageFile:
        return ImageFile(self.images[index], f"photo {index}")


@pytest.mark.parametrize("augment", [False, True])
def test_real_photos(augment: bool) -> None:
    row, evaluated = np.zeros((224, 224, 3), np.uint8), np.zeros((224, 224, 3), np.float32)
    files = Files(photos())
    for index in range(len(files.images)):
        TrainingRows(files, 0, augment=augment)(Request(index), row)
        EvaluationRows(files)(Request(index), evaluated)
        assert row.any()
        assert np.abs(evaluated).max() < 4


def test_a_damaged_image_is_named() -> None:
    files = Files((encoded(smooth(40, 40))[:300],))
    with pytest.raises(DataError, match=r"^image photo 0 cannot be decoded \(.*\)\. Prepare the data again"):
        EvaluationRows(files)(Request(0), np.zeros((8, 8, 3), np.float32))


# --- built-in images ------------------------------------------------------------------------------------------------


def test_a_thousand_classes_differ() -> None:
    found = {builtin.attributes(label) for label in range(builtin.MAX_CLASSES)}
    assert len(found) == builtin.MAX_CLASSES
    assert all(len({builtin.attributes(label)[part] for label in range(10)}) == 10 for part in range(3))
    with pytest.raises(ValueError, match="1001 classes"):
        builtin.BuiltinImages(32, 1001, {})


def test_builtin_images_are_fixed_and_vary_in_size() -> None:
    files = builtin.BuiltinFiles("train", 48, 10, 12)
    sizes = {Image.fromarray(builtin.draw(np.random.default_rng(k), k, 50 + k, 60)).size for k in range(10)}
    assert len(sizes) == 10
    contents = [files.read(index).content for index in range(12)]
    builtin._drawn.cache_clear()
    assert [files.read(index).content for index in range(12)] == contents
    assert len(set(contents)) == 12
    assert sorted(files.labels.tolist()) == sorted([*range(10), 0, 1])
    assert builtin.BuiltinFiles("validation", 48, 10, 12).read(0).content != contents[0]


def test_nearest_means_distinguish_builtin_classes() -> None:
    """Colors alone distinguish many classes; the rest needs training."""
    train, held_out = builtin.BuiltinFiles("train", 32, 10, 200), builtin.BuiltinFiles("validation", 32, 10, 60)

    def features(files: builtin.BuiltinFiles) -> np.ndarray:
        found = np.zeros((files.count, 32, 32, 3), np.float32)
        for index in range(files.count):
            EvaluationRows(files)(Request(index), found[index])
        return np.concatenate([found.mean(axis=(1, 2)), found.max(axis=(1, 2)), found.std(axis=(1, 2))], axis=1)

    known = features(train)
    means = np.stack([known[train.labels == label].mean(axis=0) for label in range(10)])
    distances = np.linalg.norm(features(held_out)[:, None] - means, axis=-1)
    assert (distances.argmin(axis=1) == held_out.labels).mean() > 0.5
