"""Sources of a workload's examples: generated or prepared, in memory or read by index.

A source describes itself and returns the splits `train`, `validation` and `test`. Small examples are columns in memory
(`ColumnSource`), large ones are made or read one by one (`ExampleSource`); a source may be both, for example for images
and their labels. Sources generate, open and read data on first use, and are thread-safe.
"""

import dataclasses
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any, Generic, Literal, Protocol, TypeVar

from algoperf_jax.data import prepared
from algoperf_jax.data.arrays import Columns
from algoperf_jax.data.prepared import DatasetSpec, Prepared
from algoperf_jax.data.records import Records

Example = TypeVar("Example")
Example_co = TypeVar("Example_co", covariant=True)
Origin = Literal["builtin", "prepared"]


class Source(Protocol):
    """The attributes of every source."""

    @property
    def origin(self) -> Origin:
        """`builtin` for generated data, `prepared` for real data."""
        ...

    def describe(self) -> dict[str, Any]:
        """Facts for the log of a run: version, checksums, split sizes."""
        ...


class ColumnSource(Source, Protocol):
    """A source that holds all examples in memory."""

    def columns(self, split: str) -> Columns:
        """The examples of a split, in read-only arrays shared by all callers."""
        ...


class Examples(Protocol[Example_co]):
    """The examples of a split by index. Picklable if worker processes read them."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> Example_co:
        """Returns example `index`, the same at every call; must not be modified."""
        ...


class ExampleSource(Source, Protocol[Example_co]):
    """A source that reads or makes examples one by one."""

    def examples(self, split: str) -> Examples[Example_co]:
        """The examples of a split."""
        ...


class GeneratedColumns:
    """Columns that are generated when a split is first used, and then kept.

    Args:
      generate: split -> its columns, independent of which other splits are generated.
      description: facts for the log of a run.
    """

    origin: Origin = "builtin"

    def __init__(self, generate: Callable[[str], Mapping[str, Any]], description: Mapping[str, Any]) -> None:
        self._generate = generate
        self._description = dict(description)
        self._lock = threading.Lock()
        self._generated: dict[str, Columns] = {}

    def columns(self, split: str) -> Columns:
        """The examples of a split, read-only."""
        with self._lock:
            if split not in self._generated:
                columns = self._generate(split)
                for column in columns.values():
                    column.flags.writeable = False
                self._generated[split] = columns
            return self._generated[split]

    def describe(self) -> dict[str, Any]:
        """The given description."""
        return {"dataset": "generated", **self._description}


class PreparedSource:
    """A prepared data set that is opened on first use in each process. Picklable.

    Methods raise `DataError` if the data is missing or damaged; the message gives the command that prepares it.

    Args:
      data_dir: folder of all prepared data sets.
      dataset: the data set to open.
    """

    origin: Origin = "prepared"

    def __init__(self, data_dir: str | os.PathLike[str], dataset: DatasetSpec) -> None:
        self._data_dir = data_dir
        self._dataset = dataset
        self._lock = threading.Lock()
        self._opened: Prepared | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_lock", "_opened")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock(), _opened=None)

    def opened(self) -> Prepared:
        """The data set, opened on first use."""
        with self._lock:
            if self._opened is None:
                self._opened = prepared.load(self._data_dir, self._dataset)
            return self._opened

    def columns(self, split: str) -> Columns:
        """All columns of a split, read-only."""
        return self.opened().columns(split)

    def describe(self) -> dict[str, Any]:
        """Version, source, split sizes and checksums."""
        return self.opened().describe()


class PreparedExamples(PreparedSource, Generic[Example]):
    """A prepared data set whose examples are read from disk one by one.

    Args:
      data_dir: folder of all prepared data sets.
      dataset: the data set to open.
      decode: stored columns of an example -> the example. Must be picklable if the source is pickled.
    """

    def __init__(
        self, data_dir: str | os.PathLike[str], dataset: DatasetSpec, decode: Callable[[Columns], Example]
    ) -> None:
        super().__init__(data_dir, dataset)
        self._decode = decode

    def examples(self, split: str) -> "DecodedRecords[Example]":
        """The examples of a split."""
        return DecodedRecords(self.opened().records(split), self._decode)


@dataclasses.dataclass(frozen=True)
class DecodedRecords(Generic[Example]):
    """Examples decoded from stored records, one by one."""

    records: Records
    decode: Callable[[Columns], Example]

    def __len__(self) -> int:
        return len(self.records)

    def read(self, index: int) -> Example:
        """Reads example `index`.

        Raises:
          DataError: its record is damaged; the message names file and record.
        """
        return self.decode(self.records.read(index))
