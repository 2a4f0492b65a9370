"""Digit images: their source, and how batches are made."""

import numpy as np

from algoperf_jax.data.arrays import Columns
from algoperf_jax.data.sources import PreparedSource
from algoperf_jax.workload import Batch, Data
from workloads.image_classification import generated_images, image_data
from workloads.mnist import builtin
from workloads.mnist.prepare import DATASET

TRAIN_MEAN = 0.1307
TRAIN_STDDEV = 0.3081


def open_data(data_dir: str | None, *, num_eval_train: int) -> Data:
    """The digits prepared in `data_dir`, or the built-in digits; nothing is read or drawn yet."""
    source = (
        generated_images(builtin.generate, builtin.FACTS.split_sizes, builtin.VERSION)
        if data_dir is None
        else PreparedSource(data_dir, DATASET)
    )
    return image_data(source, num_eval_train=num_eval_train, transform=normalize)


def normalize(examples: Columns) -> Batch:
    """Raw `image` uint8 and `label` -> `inputs` float32 [B, 28, 28, 1] and `targets` int32 [B].

    The mean and standard deviation of pixels in 0 .. 1 are applied to pixels in 0 .. 255, because the published target
    was obtained with inputs of this scale.
    """
    pixels = examples["image"].astype(np.float32)
    inputs = (pixels - np.float32(TRAIN_MEAN)) / np.float32(TRAIN_STDDEV)
    return {"inputs": inputs, "targets": examples["label"].astype(np.int32)}
