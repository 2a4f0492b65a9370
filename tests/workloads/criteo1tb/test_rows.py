import pathlib
import pickle
import zlib

import numpy as np
import pytest

from algoperf_jax.errors import DataError
from workloads.criteo1tb import rows, schema
from workloads.criteo1tb.rows import ROWS_PER_BLOCK, RowFile

SOURCE = {"file": "day_0.gz", "bytes": 7}
NUM_ROWS = 2 * ROWS_PER_BLOCK + 100


def some_rows(count: int = NUM_ROWS, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-3, 1 << 24, (count, schema.NUM_COLUMNS), dtype=np.int32)


def write(path: pathlib.Path, content: np.ndarray, step: int = 5_000) -> None:
    with rows.writer(path, source=SOURCE) as append:
        for start in range(0, len(content), step):
            append(content[start : start + step])


def reopen(path: pathlib.Path, *paths: pathlib.Path) -> RowFile:
    split = rows.manifest_split([path, *paths])
    file = split.files[0]
    return RowFile(path, file.bytes // rows.BYTES_PER_ROW, file.sha256, remedy="Prepare it again.")


def read(file: RowFile, start: int, stop: int) -> np.ndarray:
    out = np.empty((stop - start, schema.NUM_COLUMNS), np.int32)
    file.read(start, out)
    return out


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "day_0_00.rows"


def test_the_schema_is_that_of_the_published_files() -> None:
    assert len(schema.COLUMN_SIZES) == schema.NUM_CATEGORIES
    assert schema.NUM_COLUMNS == 40
    columns = np.arange(schema.NUM_COLUMNS)
    np.testing.assert_array_equal(
        np.concatenate([[schema.LABEL], columns[schema.INTEGERS], columns[schema.CATEGORIES]]), columns
    )


@pytest.mark.parametrize("step", [1_000, ROWS_PER_BLOCK, NUM_ROWS])
def test_any_rows_come_back(path: pathlib.Path, step: int) -> None:
    content = some_rows()
    write(path, content, step)
    file = reopen(path)
    assert len(file) == NUM_ROWS
    for start, stop in (
        (0, NUM_ROWS),
        (5, 6),
        (ROWS_PER_BLOCK - 1, ROWS_PER_BLOCK + 1),
        (NUM_ROWS - 1, NUM_ROWS),
        (9, 9),
    ):
        np.testing.assert_array_equal(read(file, start, stop), content[start:stop])
        np.testing.assert_array_equal(read(pickle.loads(pickle.dumps(file)), start, stop), content[start:stop])
    assert path.read_bytes() == content.astype("<i4").tobytes()


def test_description_and_manifest(path: pathlib.Path) -> None:
    write(path, some_rows())
    found = rows.complete(path)
    assert found is not None
    assert (found.num_rows, len(found.checksums), found.source) == (NUM_ROWS, 3, SOURCE)
    other = path.with_name("day_0_01.rows")
    write(other, some_rows(ROWS_PER_BLOCK))
    split = rows.manifest_split([path, other])
    assert split.examples == NUM_ROWS + ROWS_PER_BLOCK
    assert [(file.name, file.blocks, file.bytes) for file in split.files] == [
        ("day_0_00.rows", 3, NUM_ROWS * 160),
        ("day_0_01.rows", 1, ROWS_PER_BLOCK * 160),
    ]
    assert split.columns["rows"].shape == (split.examples, 40)


def test_a_file_without_rows_is_complete(path: pathlib.Path) -> None:
    write(path, some_rows(0))
    found = rows.complete(path)
    assert found is not None
    assert (found.num_rows, found.checksums) == (0, ())


def test_a_failed_writer_leaves_nothing(path: pathlib.Path) -> None:
    write(path, some_rows())
    with pytest.raises(ValueError, match="rows are int32"):
        write(path, some_rows(10).astype(np.int64))
    assert not list(path.parent.iterdir())
    assert rows.complete(path) is None


def test_files_that_are_not_complete(path: pathlib.Path) -> None:
    assert rows.complete(path) is None
    write(path, some_rows())
    description = path.with_name(f"{path.name}.json")
    content = description.read_text()
    for damaged in (
        content[:50],
        content.replace('"format": 1', '"format": 0'),
        content.replace('"crc32": [', '"crc32": [1, '),
    ):
        assert damaged != content
        description.write_text(damaged)
        assert rows.complete(path) is None
    description.write_text(content)
    assert rows.complete(path) is not None
    path.write_bytes(path.read_bytes()[:-1])
    assert rows.complete(path) is None
    with pytest.raises(DataError, match=r"day_0_00\.rows is not complete"):
        rows.manifest_split([path])


def test_damaged_blocks_are_named(path: pathlib.Path) -> None:
    write(path, some_rows())
    content = bytearray(path.read_bytes())
    content[(ROWS_PER_BLOCK + 7) * rows.BYTES_PER_ROW] ^= 1
    path.write_bytes(content)
    file = reopen(path)
    read(file, 0, ROWS_PER_BLOCK)
    read(file, 2 * ROWS_PER_BLOCK, NUM_ROWS)
    for start, stop in ((0, NUM_ROWS), (2 * ROWS_PER_BLOCK - 1, 2 * ROWS_PER_BLOCK)):
        with pytest.raises(
            DataError, match=r"block 1 of .*day_0_00\.rows does not match its checksum. Prepare it again."
        ):
            read(file, start, stop)


def test_blocks_are_verified_once(path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int] = []
    crc32 = zlib.crc32
    write(path, some_rows())
    monkeypatch.setattr(zlib, "crc32", lambda content: computed.append(len(content)) or crc32(content))
    file = reopen(path)
    for _ in range(2):
        read(file, 0, NUM_ROWS)
        read(file, 10, 20)
    assert computed == [ROWS_PER_BLOCK * 160, ROWS_PER_BLOCK * 160, 100 * 160]


def test_files_that_changed_since_they_were_opened(path: pathlib.Path) -> None:
    write(path, some_rows())
    file = reopen(path)
    read(file, 0, 10)
    path.write_bytes(path.read_bytes()[:160])
    with pytest.raises(DataError, match=r"ends within block 0"):
        read(file, 0, 10)
    path.unlink()
    with pytest.raises(DataError, match=r"day_0_00\.rows cannot be read"):
        read(file, 0, 10)
    write(path, some_rows(seed=1))
    with pytest.raises(DataError, match=r"rows\.json does not match its SHA-256"):
        read(pickle.loads(pickle.dumps(file)), 0, 10)
