"""Files of single numbers; those of wider rows are tested with the click logs, in tests/workloads/criteo1tb."""

import pathlib

import numpy as np
import pytest

from algoperf_jax.data import row_files
from algoperf_jax.data.row_files import RowFile, RowFormat
from algoperf_jax.errors import DataError

NUMBER = RowFormat(np.dtype(np.uint16), (), rows_per_block=100)
NUMBERS = np.random.default_rng(0).integers(0, 1 << 16, 250, dtype=np.uint16)


def stored(path: pathlib.Path) -> RowFile:
    with row_files.writer(path, NUMBER, source={}) as append:
        append(NUMBERS[:70])
        append(NUMBERS[70:])
    split = row_files.manifest_split([path], NUMBER, column="numbers")
    assert (split.examples, split.columns["numbers"].shape) == (250, (250,))
    return RowFile(path, NUMBER, split.examples, split.files[0].sha256, remedy="Write it again.")


@pytest.mark.parametrize(("start", "stop"), [(0, 250), (99, 101), (150, 150), (249, 250)])
def test_any_numbers_come_back(tmp_path: pathlib.Path, start: int, stop: int) -> None:
    out = np.zeros(stop - start, np.uint16)
    stored(tmp_path / "numbers").read(start, out)
    np.testing.assert_array_equal(out, NUMBERS[start:stop])
    assert (tmp_path / "numbers").read_bytes() == NUMBERS.astype("<u2").tobytes()


def test_rows_of_another_shape_are_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "numbers"
    for wrong in (NUMBERS.reshape(-1, 2), NUMBERS[0], NUMBERS.astype(np.int32)):
        with (
            pytest.raises(ValueError, match=r"rows are uint16 \['any'\]"),
            row_files.writer(path, NUMBER, source={}) as append,
        ):
            append(wrong)
    assert row_files.complete(path, NUMBER) is None


def test_a_truncated_file_is_named_with_the_offset(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "numbers"
    file = stored(path)
    path.write_bytes(path.read_bytes()[:301])
    with pytest.raises(DataError, match=r"numbers ends within block 1, at byte 301. Write it again."):
        file.read(120, np.zeros(70, np.uint16))


def test_another_block_size_is_another_format(tmp_path: pathlib.Path) -> None:
    stored(tmp_path / "numbers")
    other = RowFormat(NUMBER.dtype, (), rows_per_block=50)
    assert row_files.complete(tmp_path / "numbers", NUMBER) is not None
    assert row_files.complete(tmp_path / "numbers", other) is None
    row_files.remove(tmp_path / "numbers")
    assert not list(tmp_path.iterdir())
