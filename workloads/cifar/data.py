"""CIFAR-10 images: their source, how batches are made, and the augmentation of training batches."""

import numpy as np

from algoperf_jax.data.arrays import Columns
from algoperf_jax.data.sources import PreparedSource
from algoperf_jax.workload import Batch, Data
from workloads.cifar import builtin
from workloads.cifar.prepare import DATASET
from workloads.image_classification import generated_images, image_data

TRAIN_MEAN = (0.49139968, 0.48215827, 0.44653124)
"""Mean of each channel, for pixels in 0 .. 1."""
TRAIN_STDDEV = (0.24703233, 0.24348505, 0.26158768)
"""Standard deviation of each channel, for pixels in 0 .. 1."""
PADDING = 2
"""Black pixels added on each side before the random crop."""


def open_data(data_dir: str | None, *, num_eval_train: int) -> Data:
    """The images prepared in `data_dir`, or the built-in shapes; nothing is read or drawn yet."""
    source = (
        generated_images(builtin.generate, builtin.FACTS.split_sizes, builtin.VERSION)
        if data_dir is None
        else PreparedSource(data_dir, DATASET)
    )
    return image_data(
        source, num_eval_train=num_eval_train, transform=normalize, train_transform=augment, draw=draw_augmentation
    )


def normalize(examples: Columns) -> Batch:
    """Raw `image` uint8 and `label` -> `inputs` float32 [B, 32, 32, 3] and `targets` int32 [B]."""
    pixels = examples["image"].astype(np.float32) / np.float32(255)
    inputs = (pixels - np.asarray(TRAIN_MEAN, np.float32)) / np.asarray(TRAIN_STDDEV, np.float32)
    return {"inputs": inputs, "targets": examples["label"].astype(np.int32)}


def draw_augmentation(rng: np.random.Generator, count: int) -> Columns:
    """Draws where each image is cropped (`top` and `left` in the padded image) and whether it is mirrored (`flip`)."""
    return {
        "top": rng.integers(2 * PADDING + 1, size=count),
        "left": rng.integers(2 * PADDING + 1, size=count),
        "flip": rng.random(count) < 0.5,
    }


def augment(examples: Columns) -> Batch:
    """Pads with black, crops to the original size, mirrors, then normalizes; `examples` includes the drawn columns."""
    images = examples["image"]
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (PADDING, PADDING), (PADDING, PADDING), (0, 0)))
    across = np.where(examples["flip"][:, None], np.arange(width)[::-1], np.arange(width))
    rows = examples["top"][:, None, None] + np.arange(height)[:, None]
    columns = (examples["left"][:, None] + across)[:, None, :]
    cropped = padded[np.arange(len(images))[:, None, None], rows, columns]
    return normalize({"image": cropped, "label": examples["label"]})
