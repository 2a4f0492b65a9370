"""Reads prepared images one by one."""

from typing import Any

from algoperf_jax.data import prepared
from algoperf_jax.data.arrays import Columns
from algoperf_jax.data.sources import PreparedExamples
from algoperf_jax.errors import DataError
from workloads.imagenet.prepare import DATASET, labels_of
from workloads.imagenet.rows import ImageFile


def image_file(columns: Columns) -> ImageFile:
    """The image file in a stored record."""
    return ImageFile(columns["image"].tobytes(), columns["name"].tobytes().decode())


class StoredImages(PreparedExamples[ImageFile]):
    """The images prepared in a folder; their labels are in memory."""

    def __init__(self, data_dir: str, num_classes: int, *, every_class: bool = True) -> None:
        super().__init__(data_dir, DATASET, image_file)
        self._num_classes = num_classes
        self._every_class = every_class

    def columns(self, split: str) -> Columns:
        """Returns `label`, the class indices int32 [N] of a split.

        Raises:
          DataError: the data have no such split, or a different number of classes.
        """
        if split not in self.opened().splits:
            raise DataError(
                f"the {DATASET.name} data in {self._data_dir} have no {split} split",
                remedy="Put the images of ImageNet-v2 (matched-frequency), or a folder `test` of classes, next to the "
                f"raw files and run: {prepared.command(DATASET.name, self._data_dir, '--from=FOLDER', '--force')}",
            )
        columns = self.opened().columns(labels_of(split))
        found = int(columns["label"].max()) + 1
        if found > self._num_classes or (split == "train" and self._every_class and found != self._num_classes):
            raise DataError(
                f"number of classes in the {split} split of {DATASET.name} in {self._data_dir}",
                value=found,
                expected=str(self._num_classes),
                remedy="Prepare images of the right classes, in another folder or with --force.",
            )
        return columns

    def describe(self) -> dict[str, Any]:
        """Returns version, origin, split sizes and checksums."""
        description = super().describe()
        labels = {labels_of(split) for split in description["split_sizes"]}
        sizes = {split: size for split, size in description["split_sizes"].items() if split not in labels}
        return {**description, "split_sizes": sizes}
