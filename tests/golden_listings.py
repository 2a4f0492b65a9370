"""Listings of the reference's arrays as NumPy archives, which take a hundredth of their lines as JSON.

    python -m tests.golden_listings tests/golden/cifar.listing.npz

prints an archive as JSON; given a JSON file instead, it writes the archive next to that file.
"""

import json
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

SUFFIX = ".listing.npz"
_COLUMN, _FIELD, _TEXT = "column", "field", "text"


def to_arrays(content: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Tables become columns: lists of equally long rows (`column/<key>/<number>`), and dicts of dicts with the same
    fields (`field/<key>/<name>`, the keys under the name ""). Everything else is JSON (`text/<key>`).
    """
    arrays: dict[str, np.ndarray] = {}
    for key, value in content.items():
        if _is_rows(value):
            columns = zip(*value, strict=True)
            arrays |= {f"{_COLUMN}/{key}/{number}": _column(column) for number, column in enumerate(columns)}
        elif _is_records(value):
            arrays[f"{_FIELD}/{key}/"] = np.array(list(value))
            for name in next(iter(value.values())):
                arrays[f"{_FIELD}/{key}/{name}"] = _column([record[name] for record in value.values()])
        else:
            arrays[f"{_TEXT}/{key}"] = np.array(json.dumps(value))
    return arrays


def from_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The inverse of `to_arrays`."""
    columns: dict[tuple[str, str], dict[str, list[Any]]] = {}
    for path, array in arrays.items():
        kind, key, *name = path.split("/")
        columns.setdefault((kind, key), {})["".join(name)] = _values(array)
    content: dict[str, Any] = {}
    for (kind, key), table in columns.items():
        if kind == _TEXT:
            content[key] = json.loads(table[""][0])
        elif kind == _COLUMN:
            content[key] = [list(row) for row in zip(*table.values(), strict=True)]
        else:
            names, rows = list(table)[1:], zip(*table.values(), strict=True)
            content[key] = {first: dict(zip(names, rest, strict=True)) for first, *rest in rows}
    return content


def load(path: pathlib.Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as archive:
        return from_arrays(dict(archive))


def _is_rows(value: Any) -> bool:
    return bool(isinstance(value, list) and value and all(isinstance(row, list) and row for row in value)) and (
        len({len(row) for row in value}) == 1
    )


def _is_records(value: Any) -> bool:
    return bool(
        isinstance(value, dict) and value and all(isinstance(row, dict) and row for row in value.values())
    ) and (len({tuple(row) for row in value.values()}) == 1)


def _column(values: Any) -> np.ndarray:
    """Values of one plain type as an array, others as JSON bytes."""
    (kind, *others) = {type(value) for value in values}
    return (
        np.array(values) if kind in (bool, int, float, str) and not others else np.array([_encoded(v) for v in values])
    )


def _encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def _values(array: np.ndarray) -> list[Any]:
    return [json.loads(value) if isinstance(value, bytes) else value for value in np.atleast_1d(array).tolist()]


def main(path: pathlib.Path) -> None:
    if path.suffix == ".npz":
        print(json.dumps(load(path), indent=1))
    else:
        target = path.with_name(path.stem + SUFFIX)
        np.savez_compressed(target, **to_arrays(json.loads(path.read_text())))  # pyright: ignore[reportArgumentType]


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
