"""ImageNet as TensorFlow Datasets prepares it, read without TensorFlow."""

import importlib.util
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from algoperf_jax.data import prepared
from tests.workloads.imagenet.images import encoded, smooth
from workloads.imagenet.prepare import DATASET, labels_of

ROOT = pathlib.Path(__file__).parents[3]
WRITE = """
import pathlib, sys
import tensorflow_datasets as tfds
from etils import epath

folder = pathlib.Path(sys.argv[1])

class Imagenet2012(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("5.1.0")
    pkg_dir_path = epath.Path(folder)

    def _info(self):
        features = {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(num_classes=3),
            "file_name": tfds.features.Text(),
        }
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, manager):
        return {split: self._generate_examples(split) for split in ("train", "validation")}

    def _generate_examples(self, split):
        for path in sorted((folder / split).glob("*.JPEG")):
            label = int(path.stem.split("_")[0])
            yield path.name, {"image": path.read_bytes(), "label": label, "file_name": path.name}

Imagenet2012(data_dir=str(folder / "tfds"), file_format="array_record").download_and_prepare()
assert "tensorflow" not in sys.modules
"""
PREPARE = """
import sys
from algoperf_jax.prepare import main
assert main(sys.argv[1:]) == 0
assert "tensorflow" not in sys.modules
"""


def run(program: str, *arguments: str) -> None:
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_images_and_labels_are_those_that_were_stored(tmp_path: pathlib.Path) -> None:
    if importlib.util.find_spec("tensorflow_datasets") is None:
        pytest.skip("tensorflow-datasets, of the extra `prepare`, is not installed")
    files: dict[tuple[str, bytes], int] = {}
    for split in ("train", "validation"):
        (tmp_path / split).mkdir()
        for number in range(6):
            content = encoded(smooth(20 + number, 24, number))
            files[split, content] = number % 3
            (tmp_path / split / f"{number % 3}_{number}.JPEG").write_bytes(content)
    run(WRITE, str(tmp_path))
    run(PREPARE, "imagenet_resnet", f"--data_dir={tmp_path / 'data'}", f"--from={tmp_path / 'tfds'}")
    found = prepared.load(tmp_path / "data", DATASET)
    for split in ("train", "validation"):
        records, labels = found.records(split), found.columns(labels_of(split))["label"]
        examples = [records.read(index) for index in range(len(records))]
        stored = {(split, example["image"].tobytes()): int(example["label"].item()) for example in examples}
        assert stored == {key: label for key, label in files.items() if key[0] == split}
        np.testing.assert_array_equal(labels, [example["label"].item() for example in examples])
