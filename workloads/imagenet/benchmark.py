"""Measures how many images one core prepares per second: `python -m workloads.imagenet.benchmark FOLDER`.

It measures processor time, not wall time, so other work on the machine matters little. FOLDER contains JPEG files, at
any depth; without it, the built-in images are used.
"""

import argparse
import dataclasses
import pathlib
import time
from collections.abc import Mapping, Sequence

import numpy as np

from algoperf_jax.data.sources import Examples
from workloads.imagenet import builtin
from workloads.imagenet.decoding import decode
from workloads.imagenet.rows import EvaluationRows, ImageFile, Request, TrainingRows

IMAGE_SIZE = 224
_REPETITIONS = 5


@dataclasses.dataclass(frozen=True)
class FilesInMemory:
    """Images that are already in memory."""

    images: tuple[ImageFile, ...]

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int) -> ImageFile:
        """Image `index`."""
        return self.images[index]


def images_per_second(files: Examples[ImageFile], count: int) -> Mapping[str, float]:
    """Images per second and core, the best of several passes over images 0 to `count`, by kind of work."""
    train, evaluation = (
        np.empty((IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8),
        np.empty((IMAGE_SIZE, IMAGE_SIZE, 3), np.float32),
    )
    training = {name: TrainingRows(files, 0, augment=name == "vit") for name in ("resnet", "vit")}
    evaluated = EvaluationRows(files)
    work = {
        "decode": lambda index, epoch: decode(files.read(index).content),
        "decode and augment, resnet": lambda index, epoch: training["resnet"](Request(index, epoch), train),
        "decode and augment, vit": lambda index, epoch: training["vit"](Request(index, epoch), train),
        "decode and crop, evaluation": lambda index, epoch: evaluated(Request(index), evaluation),
    }
    found = {}
    for name, make in work.items():
        seconds = []
        for epoch in range(_REPETITIONS):
            start = time.process_time()
            for index in range(count):
                make(index, epoch)
            seconds.append(time.process_time() - start)
        found[name] = count / min(seconds)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(prog="python -m workloads.imagenet.benchmark", description=__doc__)
    parser.add_argument("folder", nargs="?", type=pathlib.Path, help="JPEG files; default: built-in images")
    parser.add_argument("--count", type=int, default=200, help="number of images (default: 200)")
    options = parser.parse_args(arguments)
    if options.folder is None:
        drawn = builtin.BuiltinFiles("train", IMAGE_SIZE, builtin.MAX_CLASSES, options.count)
        images = tuple(drawn.read(index) for index in range(options.count))
    else:
        paths = sorted(path for path in options.folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
        images = tuple(ImageFile(path.read_bytes(), str(path)) for path in paths[: options.count])
    if not images:
        parser.error(f"no .jpg or .jpeg files in {options.folder}")
    size = np.mean([len(image.content) for image in images])
    height, width = np.mean([decode(image.content).shape[:2] for image in images], axis=0)
    print(f"{len(images)} images of {width:.0f} x {height:.0f} pixels and {size:,.0f} bytes on average; one core")
    for name, rate in images_per_second(FilesInMemory(images), len(images)).items():
        print(f"{name:<30}{rate:8.0f} images/s  {1000 / rate:6.2f} ms")


if __name__ == "__main__":
    main()
