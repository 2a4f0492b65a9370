"""Where the examples of a workload come from: generated or prepared, in memory or read by number.

A source says what it is and hands out the splits `train`, `validation` and `test`. Small examples are columns in memory
(`ColumnSource`), large ones are made or read one by one (`ExampleSource`); a source may be both, such as images with
their labels. Nothing is drawn, opened or read before it is asked for, and any thread may ask.
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
    """What every source has."""

    @property
    def origin(self) -> Origin:
        """`builtin` for a generated stand-in, `prepared` for real data."""
        ...

    def describe(self) -> dict[str, Any]:
        """Facts for the log of a run: version, checksums, split sizes."""
        ...


class ColumnSource(Source, Protocol):
    """A source of examples that are all in memory."""

    def columns(self, split: str) -> Columns:
        """The examples of a split, read-only arrays that are shared by all who ask."""
        ...


class Examples(Protocol[Example_co]):
    """The examples of a split by number. Picklable where worker processes read them."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> Example_co:
        """Example `index`; the same at every call, to be read only."""
        ...


class ExampleSource(Source, Protocol[Example_co]):
    """A source of examples that are read or made one by one."""

    def examples(self, split: str) -> Examples[Example_co]:
        """The examples of a split."""
        ...


class GeneratedColumns:
    """Columns that are generated when a split is first asked for, and then kept."""

    origin: Origin = "builtin"

    def __init__(self, generate: Callable[[str], Mapping[str, Any]], description: Mapping[str, Any]) -> None:
        """Args:
        generate: split -> its columns; always the same, whichever other splits are generated.
        description: facts for the log of a run.
        """
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
        """What was given."""
        return {"dataset": "generated", **self._description}


class PreparedSource:
    """A prepared data set that is opened at its first use, in each process that uses it. Picklable.

    Methods raise `DataError` where the data are missing or damaged; it says the command that prepares them.
    """

    origin: Origin = "prepared"

    def __init__(self, data_dir: str | os.PathLike[str], dataset: DatasetSpec) -> None:
        """Args:
        data_dir: folder of all prepared data sets.
        dataset: which of them.
        """
        self._data_dir = data_dir
        self._dataset = dataset
        self._lock = threading.Lock()
        self._opened: Prepared | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_lock", "_opened")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock(), _opened=None)

    def opened(self) -> Prepared:
        """The data set."""
        with self._lock:
            if self._opened is None:
                self._opened = prepared.load(self._data_dir, self._dataset)
            return self._opened

    def columns(self, split: str) -> Columns:
        """All columns of a split, read-only."""
        return self.opened().columns(split)

    def describe(self) -> dict[str, Any]:
        """Version, origin, split sizes and checksums."""
        return self.opened().describe()


class PreparedExamples(PreparedSource, Generic[Example]):
    """A prepared data set whose examples are read from the disk one by one."""

    def __init__(
        self, data_dir: str | os.PathLike[str], dataset: DatasetSpec, decode: Callable[[Columns], Example]
    ) -> None:
        """Args:
        data_dir, dataset: as in `PreparedSource`.
        decode: the stored columns of an example -> the example. Picklable if the source is to be.
        """
        super().__init__(data_dir, dataset)
        self._decode = decode

    def examples(self, split: str) -> "DecodedRecords[Example]":
        """The examples of a split."""
        return DecodedRecords(self.opened().records(split), self._decode)


@dataclasses.dataclass(frozen=True)
class DecodedRecords(Generic[Example]):
    """Examples made of stored records, one by one."""

    records: Records
    decode: Callable[[Columns], Example]

    def __len__(self) -> int:
        return len(self.records)

    def read(self, index: int) -> Example:
        """Example `index`.

        Raises:
          DataError: its record is damaged; names file and record.
        """
        return self.decode(self.records.read(index))
