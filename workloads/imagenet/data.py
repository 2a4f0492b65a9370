"""ImageNet: the source of the images, and how batches are made.

Worker processes make training batches on the host as uint8; they are finished on the devices. All randomness is derived
from the seed of the trial, the epoch and the index of an image, so it depends neither on the number of workers nor on
that of devices.
"""

import functools
from collections.abc import Mapping
from typing import Literal, Protocol

import numpy as np

from algoperf_jax.data import arrays, shuffle
from algoperf_jax.data.arrays import Columns
from algoperf_jax.data.sources import ColumnSource, ExampleSource
from algoperf_jax.data.workers import WorkerPool, usable_cores
from algoperf_jax.workload import Batch, Data, Placement, SplitName, SplitReader
from workloads.imagenet import builtin, finishing
from workloads.imagenet.finishing import TRAIN_MEAN as TRAIN_MEAN
from workloads.imagenet.finishing import TRAIN_STDDEV as TRAIN_STDDEV
from workloads.imagenet.rows import EvaluationRows, ImageFile, Request, TrainingRows
from workloads.imagenet.stored import StoredImages

Augmentation = Literal["resnet", "vit"]
"""`resnet`: random crop and flip. `vit`: also RandAugment and mixup; targets are then soft."""
MIXUP_ALPHA = 0.2
"""The weight of mixup is drawn from Beta(alpha, alpha), once per global batch."""


class ImageSource(ColumnSource, ExampleSource[ImageFile], Protocol):
    """A source of images, with the column `label`, class indices int32 [N], in memory."""


def open_data(
    data_dir: str | None,
    *,
    image_size: int,
    num_classes: int,
    num_eval_train: int,
    split_sizes: Mapping[str, int],
    augmentation: Augmentation,
    every_class: bool = True,
) -> Data:
    """The images prepared in `data_dir`, or the built-in ones; nothing is read or drawn yet.

    Finished training batches have `inputs` float32 [B, S, S, 3], `targets` int32 [B], or float32 [B, num_classes] with
    mixup, and `weights` float32 [B]. Evaluation batches always have class indices as targets.

    Args:
      data_dir: folder of prepared data sets, or None.
      image_size: height and width S of the inputs.
      num_classes: number of classes; prepared data must not have more.
      num_eval_train: number of training images that are evaluated, a fixed random subset.
      split_sizes: number of built-in images in each split.
      augmentation: augmentation of the training images.
      every_class: whether prepared training images must have exactly `num_classes` classes, not fewer.
    """
    source: ImageSource = (
        builtin.BuiltinImages(image_size, num_classes, {split: split_sizes[split] for split in builtin.SPLITS})
        if data_dir is None
        else StoredImages(data_dir, num_classes, every_class=every_class)
    )

    def with_workers(count: int) -> Data:
        pool = WorkerPool(count)

        def open_split(split: SplitName, *, batch_size: int, seed: int, placement: Placement) -> SplitReader:
            if split == "train":
                rows = TrainingRows(source.examples("train"), seed, augment=augmentation == "vit")
                return training_split(
                    functools.partial(_made, pool, rows, np.dtype(np.uint8), image_size),
                    source.columns("train")["label"],
                    batch_size=batch_size,
                    seed=seed,
                    placement=placement,
                    mixup_classes=num_classes if augmentation == "vit" else None,
                )
            stored = "train" if split == "eval_train" else split
            labels = source.columns(stored)["label"]
            indices = (
                shuffle.eval_train_indices(len(labels), num_eval_train)
                if split == "eval_train"
                else np.arange(len(labels))
            )
            rows = EvaluationRows(source.examples(stored))

            def transform(examples: Columns) -> Batch:
                # Padding repeats an image, which is made only once.
                distinct, places = np.unique(examples["index"], return_inverse=True)
                requests = [Request(int(index)) for index in distinct]
                inputs = _made(pool, rows, np.dtype(np.float32), image_size, requests)
                return {
                    "inputs": inputs if len(distinct) == len(places) else inputs[places],
                    "targets": examples["label"],
                }

            return arrays.evaluation_split(
                {"index": indices, "label": labels[indices]},
                batch_size=batch_size,
                placement=placement,
                transform=transform,
            )

        return Data(
            origin=source.origin,
            open=open_split,
            describe=source.describe,
            with_workers=with_workers,
        )

    return with_workers(usable_cores())


class MakeRows(Protocol):
    """Makes the pixels uint8 [N, S, S, 3] of N requests."""

    def __call__(self, requests: list[Request]) -> np.ndarray: ...


def training_split(
    make_rows: MakeRows,
    labels: np.ndarray,
    *,
    batch_size: int,
    seed: int,
    placement: Placement,
    mixup_classes: int | None,
) -> SplitReader:
    """The endless shuffled stream of full batches.

    With mixup, each image is mixed with the previous one in the global batch, the first one with the last. The partners
    are part of the batch, so that finishing it needs no rows of other processes.

    Args:
      make_rows: makes images.
      labels: int32 [N].
      batch_size: examples in a global batch.
      seed: seed of the order and of the mixup.
      placement: decides which rows are made.
      mixup_classes: number of classes of soft targets, or None for no mixup.
    """
    between = shuffle.endless_indices(len(labels), seed)
    rows = placement.rows(batch_size)

    def batch(k: int) -> Batch:
        indices = between(k * batch_size, (k + 1) * batch_size)
        epochs = np.arange(k * batch_size, (k + 1) * batch_size) // len(labels)
        mine = np.arange(batch_size)[rows]
        if mixup_classes is not None:
            mine = np.concatenate([mine[:1] - 1, mine]) % batch_size
        pixels = make_rows([Request(int(indices[row]), int(epochs[row])) for row in mine])
        chosen = labels[indices[mine]]
        if mixup_classes is None:
            return {"inputs": pixels, "targets": chosen, "weights": np.ones(len(mine), np.float32)}
        weight = np.float32(shuffle.batch_generator(seed, k).beta(MIXUP_ALPHA, MIXUP_ALPHA))
        hot = finishing.one_hot(chosen, mixup_classes)
        count = len(mine) - 1
        return {
            "inputs": pixels[1:],
            "partners": pixels[:-1],
            "mix": np.full(count, weight, np.float32),
            "targets": finishing.mixed(hot[1:], hot[:-1], weight),
            "weights": np.ones(count, np.float32),
        }

    finish = finishing.finish_normalized if mixup_classes is None else finishing.finish_mixed
    return SplitReader(num_examples=len(labels), num_batches=None, batch=batch, finish=finish)


def _made(
    pool: WorkerPool,
    rows: TrainingRows | EvaluationRows,
    dtype: np.dtype,
    image_size: int,
    requests: list[Request],
) -> np.ndarray:
    pixels = np.empty((len(requests), image_size, image_size, 3), dtype)
    pool.fill(rows, requests, pixels)
    return pixels
