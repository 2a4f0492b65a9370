"""Prepared images, read one by one."""

import dataclasses
import functools
from typing import Any

import numpy as np

from algoperf_jax.data import prepared
from algoperf_jax.data.prepared import Prepared
from algoperf_jax.data.records import Records
from algoperf_jax.errors import DataError
from workloads.imagenet.prepare import DATASET, labels_of
from workloads.imagenet.rows import ImageFile


@dataclasses.dataclass(frozen=True)
class StoredFiles:
    """The images of a prepared split."""

    records: Records

    def read(self, index: int) -> ImageFile:
        """Image `index`."""
        columns = self.records.read(index)
        return ImageFile(columns["image"].tobytes(), columns["name"].tobytes().decode())


class StoredImages:
    """The images prepared in a folder; opened when they are first needed."""

    def __init__(self, data_dir: str, num_classes: int, *, every_class: bool = True) -> None:
        self._data_dir = data_dir
        self._num_classes = num_classes
        self._every_class = every_class

    @functools.cached_property
    def _data(self) -> Prepared:
        return prepared.load(self._data_dir, DATASET)

    def labels(self, split: str) -> np.ndarray:
        """Class indices int32 [N] of a split.

        Raises:
          DataError: the data have no such split, or another number of classes.
        """
        if split not in self._data.splits:
            raise DataError(
                f"the {DATASET.name} data in {self._data_dir} have no {split} split",
                remedy="Put the images of ImageNet-v2 (matched-frequency), or a folder `test` of classes, beside the "
                f"raw files and run: {prepared.command(DATASET.name, self._data_dir, '--from=FOLDER', '--force')}",
            )
        labels = self._data.columns(labels_of(split))["label"]
        found = int(labels.max()) + 1
        if found > self._num_classes or (split == "train" and self._every_class and found != self._num_classes):
            raise DataError(
                f"number of classes in the {split} split of {DATASET.name} in {self._data_dir}",
                value=found,
                expected=str(self._num_classes),
                remedy="Prepare images of the right classes, in another folder or with --force.",
            )
        return labels

    def files(self, split: str) -> StoredFiles:
        """The images of a split."""
        return StoredFiles(self._data.records(split))

    def describe(self) -> dict[str, Any]:
        """Version, origin, split sizes and checksums."""
        description = self._data.describe()
        labels = {labels_of(split) for split in description["split_sizes"]}
        sizes = {split: size for split, size in description["split_sizes"].items() if split not in labels}
        return {**description, "split_sizes": sizes}
