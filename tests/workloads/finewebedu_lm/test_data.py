"""Windows of text as batches: those of the reference, padding, order, and damaged or unfit files."""

import pathlib
import pickle
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from algoperf_jax.data import continued
from algoperf_jax.data.continued import Written
from algoperf_jax.errors import DataError
from algoperf_jax.workload import Batch, Data, Placement, SplitName
from tests import golden_support
from workloads.finewebedu_lm import tokens
from workloads.finewebedu_lm.builtin import SMALL_FACTS
from workloads.finewebedu_lm.data import open_data
from workloads.finewebedu_lm.tokens import DATASET, TokenStream

VOCABULARY = 50_257
MOST = {"eval_train": 10, "validation": 1_000}


def write(
    data_dir: pathlib.Path, splits: Mapping[str, Sequence[np.ndarray]], *, vocab_size: int = VOCABULARY
) -> pathlib.Path:
    """A prepared data set with a file for each array, which is one document."""
    own = continued.begin(data_dir, DATASET, force=True)
    entries = {}
    for split, parts in splits.items():
        names = [f"{split}-{number}" for number in range(len(parts))]
        for name, part in zip(names, parts, strict=True):
            with tokens.writer(own, name, source={}) as append:
                append(part.astype(np.uint16), np.array([len(part)], np.uint32))
        entries[split] = tokens.manifest_split(own, names)
    facts = {"tokenizer": {"vocab_size": vocab_size}}
    continued.finish(data_dir, DATASET, Written(entries, facts), source="a test")
    return data_dir


@pytest.fixture
def data_dir(tmp_path: pathlib.Path) -> pathlib.Path:
    numbers = np.arange(4_000)
    return write(
        tmp_path, {"train": [numbers[:1000], numbers[1000:1003], numbers[1003:]], "validation": [numbers[:70]]}
    )


def opened(data_dir: pathlib.Path | None, length: int = 16) -> Data:
    if data_dir is None:
        return open_data(None, sequence_length=length, vocab_size=256, split_sizes=SMALL_FACTS.split_sizes)
    return open_data(data_dir, sequence_length=length, vocab_size=VOCABULARY, split_sizes=MOST)


def batches(
    data: Data,
    split: SplitName,
    numbers: Sequence[int],
    *,
    size: int = 4,
    seed: int = 1,
    placement: Placement = Placement(),
) -> list[Batch]:
    reader = data.open(split, batch_size=size, seed=seed, placement=placement)
    return [reader.batch(k) for k in numbers]


# --- the reference's batches ----------------------------------------------------------------------------------------


@pytest.fixture
def golden(tmp_path: pathlib.Path) -> tuple[Mapping[str, np.ndarray], pathlib.Path]:
    found = golden_support.numbers("finewebedu_lm")
    names = {"train": "train", "validation": "val"}
    if "packing/seq_len" not in found:
        pytest.skip("the copy of the reference numbers has no documents")
    splits = {split: [found[f"packing/{name}/documents"]] for split, name in names.items()}
    return found, write(tmp_path, splits)


def reference_data(found: Mapping[str, np.ndarray], data_dir: pathlib.Path, most: int = 1_000) -> Data:
    length = int(found["packing/seq_len"])
    return open_data(
        data_dir, sequence_length=length, vocab_size=VOCABULARY, split_sizes={"eval_train": most, "validation": most}
    )


def test_windows_of_the_reference(golden: tuple[Mapping[str, np.ndarray], pathlib.Path]) -> None:
    """The reference starts again after the last batch; a trial evaluates one pass."""
    found, size = golden[0], int(golden[0]["packing/batch_size"])
    cases: list[tuple[str, SplitName, int]] = [
        ("validation", "validation", 1_000),
        ("eval_train_take2", "eval_train", 2 * size),
    ]
    for name, split, most in cases:
        expected = {key: found[f"packing/{name}/{key}"] for key in ("inputs", "targets", "weights")}
        reader = reference_data(*golden, most).open(split, batch_size=size, seed=0, placement=Placement())
        assert reader.num_batches is not None
        for k in range(len(expected["inputs"])):
            batch = reader.batch(k % reader.num_batches)
            np.testing.assert_array_equal(batch["inputs"], np.maximum(expected["inputs"][k], 0))
            np.testing.assert_array_equal(batch["targets"], np.maximum(expected["targets"][k], 0))
            np.testing.assert_array_equal(batch["weights"], expected["weights"][k])


def test_training_windows_of_the_reference(golden: tuple[Mapping[str, np.ndarray], pathlib.Path]) -> None:
    """In an order of our own, and without padding: batches run on across the ends of epochs."""
    found, size = golden[0], int(golden[0]["packing/batch_size"])
    data = reference_data(*golden)
    reader = data.open("train", batch_size=size, seed=0, placement=Placement())
    count = reader.num_examples
    rows = np.concatenate([reader.batch(k)["inputs"] for k in range(count)])
    first_batches = -(-count // size)  # The last one of an epoch of the reference has padding.
    rows_of_reference = np.stack([found[f"packing/train/rows_{what}"] for what in ("first_token", "sum")], axis=-1)
    expected = [row for row in rows_of_reference[:first_batches].reshape(-1, 2).tolist() if any(row)]
    for epoch in range(size):
        mine = rows[epoch * count : (epoch + 1) * count]
        assert sorted([int(row[0]), int(row.sum())] for row in mine) == sorted(expected)


# --- order and padding ----------------------------------------------------------------------------------------------


def test_windows_cross_the_ends_of_files(data_dir: pathlib.Path) -> None:
    (batch,) = batches(opened(data_dir, length=499), "eval_train", [0], size=10)
    assert {name: (array.dtype.name, array.shape) for name, array in batch.items()} == {
        "inputs": ("int32", (8, 499)),
        "targets": ("int32", (8, 499)),
        "weights": ("float32", (8, 499)),
    }
    windows = np.arange(4_000).reshape(8, 500)
    np.testing.assert_array_equal(batch["inputs"], windows[:, :-1])
    np.testing.assert_array_equal(batch["targets"], windows[:, 1:])
    assert batch["weights"].min() == 1


def test_padding(data_dir: pathlib.Path) -> None:
    first, last = batches(opened(data_dir), "validation", [0, 1], size=3, placement=Placement(device_count=2))
    np.testing.assert_array_equal(first["weights"][:, 0], [1, 1, 1, 0])
    np.testing.assert_array_equal(last["weights"][:, 0], [1, 0, 0, 0])
    np.testing.assert_array_equal(last["inputs"][0], np.arange(51, 67))
    for batch in (first, last):
        padding = batch["weights"] == 0
        assert not batch["inputs"][padding].any()
        assert not batch["targets"][padding].any()


@pytest.mark.parametrize("is_builtin", [True, False])
@pytest.mark.parametrize("split", ["train", "eval_train", "validation"])
def test_processes_share_the_rows(data_dir: pathlib.Path, split: SplitName, is_builtin: bool) -> None:
    data = opened(None if is_builtin else data_dir)
    whole = batches(data, split, [0, 1], placement=Placement(device_count=2))
    parts = [
        batches(data, split, [0, 1], placement=Placement(process_index=index, process_count=2, device_count=2))
        for index in (0, 1)
    ]
    for k, batch in enumerate(whole):
        for name, array in batch.items():
            np.testing.assert_array_equal(array, np.concatenate([part[k][name] for part in parts]))


@pytest.mark.parametrize("is_builtin", [True, False])
def test_training_batches_depend_on_their_number_alone(data_dir: pathlib.Path, is_builtin: bool) -> None:
    """So a resumed trial goes on with the batches that it would have had."""
    opens = [opened(None if is_builtin else data_dir) for _ in range(2)]
    ahead = batches(opens[0], "train", [0, 1, 2, 61])
    back = batches(opens[1], "train", [61, 2, 1, 0])
    for one, other in zip(ahead, reversed(back), strict=True):
        np.testing.assert_array_equal(one["inputs"], other["inputs"])
    (other_seed,) = batches(opens[0], "train", [0], seed=2)
    assert not np.array_equal(ahead[0]["inputs"], other_seed["inputs"])


def test_every_epoch_has_all_windows_once(data_dir: pathlib.Path) -> None:
    data = opened(data_dir)
    count = data.open("train", batch_size=5, seed=1, placement=Placement()).num_examples
    assert count == 4_000 // 17
    assert count % 5 == 0
    starts = [batch["inputs"][:, 0] for batch in batches(data, "train", range(2 * count // 5), size=5)]
    epochs = np.concatenate(starts).reshape(2, count)
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(count) * 17)
    assert not np.array_equal(epochs[0], epochs[1])


def test_there_is_no_test_split(data_dir: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="no test split"):
        batches(opened(data_dir), "test", [0])


# --- files that do not do -------------------------------------------------------------------------------------------


def test_data_that_is_not_there(tmp_path: pathlib.Path) -> None:
    with pytest.raises(DataError, match=r"no prepared finewebedu_lm data in .*algoperf_jax.prepare finewebedu_lm"):
        batches(opened(tmp_path), "train", [0])


def test_another_vocabulary(data_dir: pathlib.Path) -> None:
    data = open_data(data_dir, sequence_length=16, vocab_size=1024, split_sizes=MOST)
    with pytest.raises(
        DataError, match=r"found 50257; expected 1024, as in the model.*--option=vocab_size=1024 --force"
    ):
        batches(data, "train", [0])


def test_text_shorter_than_a_window(data_dir: pathlib.Path) -> None:
    with pytest.raises(DataError, match=r"split validation .*: found 70; expected at least 71, the length of a window"):
        batches(opened(data_dir, length=70), "validation", [0])


def test_truncated_token_files_are_named_with_the_offset(data_dir: pathlib.Path) -> None:
    path, data = data_dir / "finewebedu_lm" / "train-2.tokens", opened(data_dir)
    batches(data, "train", [0])
    path.write_bytes(path.read_bytes()[:1001])
    with pytest.raises(DataError, match=r"size of .*train-2.tokens: found 1001; expected 5994 bytes.*prepare"):
        batches(opened(data_dir), "train", [0])
    with pytest.raises(DataError, match=r"train-2.tokens ends within block 0, at byte 1001.*--from=FOLDER --force"):
        batches(data, "train", range(20))


def test_damaged_token_files_are_named(data_dir: pathlib.Path) -> None:
    path = data_dir / "finewebedu_lm" / "train-0.tokens"
    content = bytearray(path.read_bytes())
    content[700] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"block 0 of .*train-0.tokens does not match its checksum"):
        batches(opened(data_dir), "train", range(20))


def test_streams_are_picklable(data_dir: pathlib.Path) -> None:
    own = data_dir / "finewebedu_lm"
    stream, lengths = tokens.open_files(own, ["train-0", "train-1", "train-2"])
    assert lengths.tolist() == [1000, 3, 2997]
    copy: TokenStream = pickle.loads(pickle.dumps(stream))
    out = np.zeros(12, np.uint16)
    for start in (0, 995, 3_988):
        copy.read(start, out)
        np.testing.assert_array_equal(out, np.arange(start, start + 12))
