"""Parallel text prepared by TensorFlow Datasets, read without TensorFlow."""

import dataclasses
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

from array_record.python import array_record_module  # pyright: ignore[reportAttributeAccessIssue]
from grain import experimental as grain_experimental

from algoperf_jax.data import raw_files
from algoperf_jax.errors import DataError
from workloads.wmt.parallel_text import SOURCE, TARGET, Pair

LoadParser = Callable[[], Callable[[bytes], Any]]

_SHARD = re.compile(r".+-(?P<split>[a-z]+)\.(?P<format>tfrecord|array_record)-(?P<number>\d+)-of-(?P<count>\d+)")
_RECORDS_AT_ONCE = 4096


@dataclasses.dataclass(frozen=True)
class TfdsCorpus:
    """A split of a data set of translations.

    Attributes:
      name: the data set, its version and the split.
      shards: its files in order.
      load_parser: returns what parses a message `tf.train.Example`.
    """

    name: str
    shards: tuple[pathlib.Path, ...]
    load_parser: LoadParser

    def pairs(self) -> Iterator[Pair]:
        """The pairs in the order in which they are stored.

        Raises:
          DataError: a file is damaged, or `load_parser` failed.
        """
        parse = self.load_parser()
        for shard in self.shards:
            for number, record in enumerate(_records(shard)):
                try:
                    features = parse(record).features.feature
                    source, target = (features[name].bytes_list.value[0].decode() for name in (SOURCE, TARGET))
                # Parsing raises a class of protobuf, which is not a dependency of its own.
                except Exception as error:
                    raise DataError(
                        f"record {number} of {shard} is damaged ({error!r})",
                        expected=f"an example with the features {SOURCE} and {TARGET}, text in UTF-8",
                        remedy="Prepare it with TensorFlow Datasets again.",
                    ) from error
                yield source, target


def find(folder: pathlib.Path, dataset: str, split: str, load_parser: LoadParser) -> TfdsCorpus | None:
    """A split of the newest version of a data set below a folder, or None.

    Args:
      folder: of raw files, such as the `data_dir` of TensorFlow Datasets.
      dataset: name and configuration, for instance `wmt17_translate/de-en`.
      split: name of the split there.
      load_parser: as in `TfdsCorpus`.

    Raises:
      DataError: files are missing.
    """
    infos = raw_files.find_all(folder, f"{dataset}/*/dataset_info.json")
    if not infos:
        return None
    version = max((info.parent for info in infos), key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)])
    shards = [(m, path) for path in sorted(version.iterdir()) if (m := _SHARD.fullmatch(path.name)) is not None]
    of_split = [(match, path) for match, path in shards if match["split"] == split]
    complete = {int(match["count"]) for match, _ in of_split} == {len(of_split)}
    if not complete:
        raise DataError(
            f"files of the split {split} in {version}",
            value=[path.name for _, path in of_split],
            expected=f"all shards, {split}.tfrecord-00000-of-... or {split}.array_record-00000-of-...",
            remedy="Prepare it with TensorFlow Datasets again.",
        )
    return TfdsCorpus(f"{dataset}/{version.name}:{split}", tuple(path for _, path in of_split), load_parser)


def _records(shard: pathlib.Path) -> Iterator[bytes]:
    damaged = f"{shard} is damaged"
    try:
        if ".tfrecord-" in shard.name:
            yield from grain_experimental.TFRecordIterDataset(str(shard))
            return
        reader = array_record_module.ArrayRecordReader(str(shard))
        if not reader.ok():
            raise DataError(f"{damaged}: not an ArrayRecord file", remedy="Prepare it with TensorFlow Datasets again.")
        for start in range(0, reader.num_records(), _RECORDS_AT_ONCE):
            yield from reader.read(list(range(start, min(start + _RECORDS_AT_ONCE, reader.num_records()))))
        reader.close()
    except (ValueError, RuntimeError, IndexError, OSError) as error:
        raise DataError(f"{damaged} ({error})", remedy="Prepare it with TensorFlow Datasets again.") from error
