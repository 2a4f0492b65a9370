"""Raw text of the toy languages, in every form that `prepare` reads."""

import functools
import gzip
import io
import pathlib
import struct
import tarfile
from collections.abc import Sequence

import numpy as np
from array_record.python import array_record_module  # pyright: ignore[reportAttributeAccessIssue]

from workloads.wmt.builtin import ToyPairs
from workloads.wmt.parallel_text import Pair

COUNTS = {"train": 300, "validation": 20, "test": 10}
OPTIONS = {"vocab_size": "150"}
"""As many pieces as so little text is enough for."""


@functools.cache
def pairs(split: str) -> tuple[Pair, ...]:
    toy = ToyPairs(200, 64, COUNTS)
    columns = toy.columns(split)
    sides = []
    for name in ("inputs", "targets"):
        ends = np.cumsum(columns[f"{name}_lengths"])[:-1]
        sides.append([toy.tokenizer.decode(ids.tolist()) for ids in np.split(columns[name], ends)])
    return tuple(zip(*sides, strict=True))


def lines(split: str, side: int) -> bytes:
    return "".join(f"{pair[side]}\n" for pair in pairs(split)).encode()


def sgm(split: str, side: int) -> bytes:
    """As the development sets of WMT are written."""
    segments = "\n".join(f'<seg id="{n}">{pair[side]}</seg>' for n, pair in enumerate(pairs(split), 1))
    return f'<refset setid="x" trglang="any">\n<doc docid="a">\n<p>\n{segments}\n</p>\n</doc>\n</refset>\n'.encode()


def write_plain(folder: pathlib.Path, *, packed: bool = False) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    for split, stem in (("train", "train"), ("validation", "val"), ("test", "test_2016")):
        for side, language in enumerate(("de", "en")):
            content = lines(split, side)
            name = f"{stem}.{language}"
            (folder / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(content) if packed else content)
    return folder


def write_wmt(folder: pathlib.Path) -> pathlib.Path:
    """The archives of WMT, with other languages and hidden files among them."""
    folder.mkdir(parents=True, exist_ok=True)
    half = len(pairs("train")) // 2
    parts = [(split.splitlines(keepends=True)) for split in (lines("train", 0), lines("train", 1))]
    first, second = ([b"".join(part[:half]) for part in parts], [b"".join(part[half:]) for part in parts])
    _archive(
        folder / "training-parallel-europarl-v7.tgz",
        {
            "training/europarl-v7.de-en.de": first[0],
            "training/europarl-v7.de-en.en": first[1],
            "training/europarl-v7.fr-en.en": b"Not this.\n",
            "training/._europarl-v7.de-en.de": b"\xff",
        },
    )
    _archive(folder / "rapid2016.tgz", {"rapid2016.de-en.en": second[1], "rapid2016.de-en.de": second[0]})
    _archive(
        folder / "dev.tgz",
        {
            "dev/newstest2012-src.de.sgm": b'<seg id="1">Not this.</seg>\n',
            "dev/newstest2013-ref.de.sgm": sgm("test", 0),
            "dev/newstest2013-ref.en.sgm": sgm("validation", 1),
            "dev/newstest2013-src.de.sgm": sgm("validation", 0),
            "dev/newstest2013-src.en.sgm": sgm("test", 1),
        },
    )
    (folder / "test-full").mkdir()
    (folder / "test-full" / "newstest2014-deen-src.de.sgm").write_bytes(sgm("test", 0))
    (folder / "test-full" / "newstest2014-deen-ref.en.sgm").write_bytes(sgm("test", 1))
    (folder / "test-full" / "newstest2014-fren-ref.en.sgm").write_bytes(sgm("test", 1))
    return folder


def _archive(path: pathlib.Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def write_tfds(folder: pathlib.Path, file_format: str, *, shards: int = 3) -> pathlib.Path:
    """The folders of TensorFlow Datasets, as far as they are read."""
    for dataset, splits in (("wmt17_translate", ("train",)), ("wmt14_translate", ("train", "validation", "test"))):
        version = folder / dataset / "de-en" / "1.0.0"
        version.mkdir(parents=True)
        (version / "dataset_info.json").write_text("{}")
        for split in splits:
            records = [_example(pair) for pair in pairs(split)]
            for number in range(shards):
                start, stop = len(records) * number // shards, len(records) * (number + 1) // shards
                name = f"{dataset}-{split}.{file_format}-{number:05d}-of-{shards:05d}"
                _write_records(version / name, file_format, records[start:stop])
    return folder


def _write_records(path: pathlib.Path, file_format: str, records: Sequence[bytes]) -> None:
    if file_format == "tfrecord":
        # Checksums, which nothing reads, are left at 0.
        path.write_bytes(b"".join(struct.pack("<QI", len(r), 0) + r + bytes(4) for r in records))
        return
    writer = array_record_module.ArrayRecordWriter(str(path), "group_size:1")
    for record in records:
        writer.write(record)
    writer.close()


def _example(pair: Pair) -> bytes:
    """The message `tf.train.Example`, by the numbers of its fields."""
    entries = (
        _field(1, _field(1, name.encode()) + _field(2, _field(1, _field(1, text.encode()))))
        for name, text in zip(("de", "en"), pair, strict=True)
    )
    return _field(1, b"".join(entries))


def _field(number: int, content: bytes) -> bytes:
    size, length = len(content), b""
    while size >= 128:
        length += bytes([size % 128 + 128])
        size //= 128
    return bytes([number * 8 + 2]) + length + bytes([size]) + content
