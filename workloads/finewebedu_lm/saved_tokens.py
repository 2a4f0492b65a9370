"""Documents of token ids that `save_to_disk` of the package `datasets` wrote: Arrow streams with a column `input_ids`.

A folder has `state.json`, which lists the files in their order. `datasets` itself is not needed.
"""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import UInt16, UInt32

from algoperf_jax.data import raw_files
from algoperf_jax.errors import DataError
from workloads.finewebedu_lm.raw_libraries import arrow

STATE = "state.json"
COLUMN = "input_ids"
SPLITS = {"train": "train", "validation": "val"}
"""Our name of a split -> the name of its folder."""
_AGAIN = "Save the data set again."


def find(folder: pathlib.Path) -> pathlib.Path | None:
    """The folder that holds the folders of both splits: this one, or one below it.

    Raises:
      DataError: only one split is there, or there are several such folders.
    """
    parents: dict[pathlib.Path, set[str]] = {}
    for name in SPLITS.values():
        for path in raw_files.find_all(folder, f"{name}/{STATE}"):
            parents.setdefault(path.parent.parent, set()).add(name)
    if len(parents) > 1:
        raise DataError(
            f"folders with data sets of token ids in {folder}", value=[str(path) for path in parents], expected="one"
        )
    for parent, names in parents.items():
        if lacking := [name for name in SPLITS.values() if name not in names]:
            raise DataError(f"{parent} has no folder {lacking[0]!r} with a {STATE}", remedy=_AGAIN)
        return parent
    return None


def files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The files of a split, in their order.

    Raises:
      DataError: the list is damaged, names a file that is missing, or an order of rows of its own.
    """
    path = folder / STATE
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        names = [str(entry["filename"]) for entry in state["_data_files"]]
        order = state.get("_indices_data_files") or state.get("_indices_files")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged ({error!r})", remedy=_AGAIN) from error
    if order:
        raise DataError(f"{path} gives the rows another order", remedy="Save the data set after flatten_indices().")
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise DataError(f"{folder / missing[0]} is missing, which {path} lists", remedy=_AGAIN)
    return [folder / name for name in names]


def read(
    path: pathlib.Path, *, vocab_size: int
) -> Iterator[tuple[UInt16[np.ndarray, " tokens"], UInt32[np.ndarray, " documents"]]]:
    """The tokens of the documents of a file, and the length of each, a batch at a time.

    Raises:
      DataError: the file is damaged, has no column of token ids, or one is out of range; names document and offset.
    """
    library = arrow()
    document = 0
    offset = 0
    try:
        with library.memory_map(str(path)) as source, library.ipc.open_stream(source) as stream:
            if COLUMN not in stream.schema.names or not _is_list_of_integers(stream.schema.field(COLUMN).type):
                raise DataError(
                    f"columns of {path}", value=str(stream.schema)[:200], expected=f"lists of ids, {COLUMN!r}"
                )
            for batch in stream:
                column = batch.column(COLUMN)
                values = column.flatten()
                if column.null_count or values.null_count:
                    raise DataError(f"{path} lacks ids in documents {document} to {document + len(column) - 1}")
                lengths = column.value_lengths().to_numpy().astype(np.uint32)
                ids = values.to_numpy()
                outside = np.flatnonzero((ids < 0) | (ids >= vocab_size))
                if len(outside):
                    index = int(np.searchsorted(np.cumsum(lengths), outside[0], side="right"))
                    raise DataError(
                        f"token id in document {document + index} of {path}",
                        value=int(ids[outside[0]]),
                        expected=f"0 to {vocab_size - 1}",
                        remedy="Is this the tokenizer of the model? --option=vocab_size=N is for another.",
                    )
                yield ids.astype(np.uint16), lengths
                document += len(column)
                offset = source.tell()
            if source.tell() == offset:
                # The reader does not miss the end, see findings/arrow_stream_cut_between_batches.sh.
                raise DataError(f"{path} ends at byte {offset}, after document {document - 1}", remedy=_AGAIN)
    except (library.ArrowException, OSError) as error:
        raise DataError(
            f"{path} is damaged after byte {offset}, in or after document {document} ({error})", remedy=_AGAIN
        ) from error


def _is_list_of_integers(kind: Any) -> bool:
    types = arrow().types
    return (types.is_list(kind) or types.is_large_list(kind)) and types.is_integer(kind.value_type)
