"""Batches of sentence pairs: rows, lengths, weights, and what does not change them."""

import pathlib
from typing import Any

import numpy as np
import pytest

from algoperf_jax.data import packing, prepared
from algoperf_jax.data.prepared import Block
from algoperf_jax.errors import DataError
from algoperf_jax.workload import EVALUATION_SPLITS, Placement, SplitName
from workloads.sentence_pieces import END_ID, train
from workloads.wmt.architecture import row_lengths
from workloads.wmt.builtin import ToyPairs
from workloads.wmt.data import FIELDS, TranslationData, open_data
from workloads.wmt.prepare import DATASET

SIZES: dict[str, int] = {"train": 500, "eval_train": 60, "validation": 90, "test": 40}
VOCABULARY, LENGTH = 300, 80


def builtin(length: int = LENGTH) -> TranslationData:
    return open_data(None, vocab_size=VOCABULARY, max_length=length, split_sizes=SIZES)


def batches(split: SplitName, placement: Placement = Placement()) -> list[Any]:
    reader = builtin().data.open(split, batch_size=32, seed=3, placement=placement)
    return [reader.batch(k) for k in range(reader.num_batches or 4)]


def test_training_rows_are_packed() -> None:
    for batch in batches("train"):
        assert set(batch) == {name + end for name in FIELDS for end in ("", "_position", "_segmentation")} | {"weights"}
        assert {array.shape for array in batch.values()} == {(32, LENGTH)}
        assert batch["weights"].dtype == np.float32
        np.testing.assert_array_equal(batch["weights"], batch["targets"] > 0)
        # Several sentences in most rows, and as many in either language.
        last = [batch[f"{name}_segmentation"].max(1) for name in FIELDS]
        np.testing.assert_array_equal(*last)
        assert last[0].mean() > 2
        assert (batch["targets"] == END_ID).sum() == last[1].sum()


def test_training_pairs_are_those_of_the_split_in_groups_of_the_length() -> None:
    reader = builtin().data.open("train", batch_size=16, seed=1, placement=Placement())
    columns = ToyPairs(VOCABULARY, LENGTH, {"train": SIZES["train"]}).columns("train")
    expected = sorted(tuple(ids) for ids in np.split(columns["inputs"], np.cumsum(columns["inputs_lengths"])[:-1]))
    found: list[tuple[int, ...]] = []
    counts: list[int] = []
    k = 0
    while len(found) < SIZES["train"]:
        batch = reader.batch(k)
        for tokens, segments in zip(batch["inputs"], batch["inputs_segmentation"], strict=True):
            of_row = [tuple(tokens[segments == segment]) for segment in range(1, segments.max() + 1)]
            found += of_row
            counts.append(len(of_row))
        k += 1
    assert sorted(found[: SIZES["train"]]) == expected
    ends = np.cumsum(counts)
    assert set(range(LENGTH, SIZES["train"], LENGTH)) <= set(ends.tolist()), "no row has pairs of two groups"


@pytest.mark.parametrize("split", EVALUATION_SPLITS)
def test_evaluation_has_each_pair_once_and_the_longest_first(split: SplitName) -> None:
    found = batches(split)
    pairs = {name: [] for name in FIELDS}
    for batch in found:
        assert set(batch) == {*FIELDS, "weights"}
        length = batch["inputs"].shape[1]
        assert {array.shape for array in batch.values()} == {(len(batch["inputs"]), length)}
        assert length in row_lengths(LENGTH)
        longest = max((batch[name] > 0).sum(1).max() for name in FIELDS)
        assert length == next(fitting for fitting in row_lengths(LENGTH) if fitting >= longest)
        np.testing.assert_array_equal(batch["weights"], batch["targets"] > 0)
        for name in FIELDS:
            pairs[name] += [tuple(row[row > 0]) for row in batch[name] if row.any()]
    lengths = [len(source) for source in pairs["inputs"]]
    assert lengths == sorted(lengths, reverse=True)
    assert len({batch["inputs"].shape[1] for batch in found}) > 1
    stored = "train" if split == "eval_train" else split
    columns = ToyPairs(VOCABULARY, LENGTH, {stored: SIZES[stored]}).columns(stored)
    known = set(
        zip(
            *(
                [tuple(ids) for ids in np.split(columns[name], np.cumsum(columns[f"{name}_lengths"])[:-1])]
                for name in FIELDS
            ),
            strict=True,
        )
    )
    seen = list(zip(*pairs.values(), strict=True))
    assert len(seen) == SIZES[split]
    assert set(seen) <= known


@pytest.mark.parametrize("split", ["train", *EVALUATION_SPLITS])
def test_processes_and_devices_change_nothing(split: SplitName) -> None:
    whole = batches(split)
    halves = [batches(split, Placement(index, 2, 8)) for index in range(2)]
    for k, batch in enumerate(whole):
        for name, rows in batch.items():
            joined = np.concatenate([half[k][name] for half in halves])
            np.testing.assert_array_equal(joined[: len(rows)], rows)
            assert not joined[len(rows) :].any()


def test_a_batch_does_not_depend_on_those_before_it() -> None:
    reader = builtin().data.open("train", batch_size=8, seed=2, placement=Placement())
    far = builtin().data.open("train", batch_size=8, seed=2, placement=Placement()).batch(40)
    for k in range(41):
        batch = reader.batch(k)
    for name in far:
        np.testing.assert_array_equal(batch[name], far[name])


def test_training_batches_do_not_depend_on_how_many_bins_are_found_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = batches("train")
    monkeypatch.setattr(packing, "_STRETCH", 37)
    for one, other in zip(whole, batches("train"), strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


# --- prepared -------------------------------------------------------------------------------------------------------


def write(data_dir: pathlib.Path, **changes: Any) -> bytes:
    """A data set as `prepare` writes it, whose facts may be wrong."""
    toy = ToyPairs(VOCABULARY, LENGTH, {"train": 50, "validation": 20, "test": 20})
    splits = {}
    for split in ("train", "validation", "test"):
        columns = toy.columns(split)
        splits[split] = [Block(len(columns["inputs_lengths"]), columns)]
    model = train([("eins zwei drei", "one two three")] * 5, vocab_size=18)
    splits["tokenizer"] = [Block(1, {"model": np.frombuffer(model, np.uint8)})]
    facts = {"tokenizer": {"sha256": "0" * 64, "vocab_size": VOCABULARY}, "max_length": LENGTH, **changes}
    prepared.write(data_dir, DATASET, splits, source="a test", facts=lambda: facts)
    return model


def opened(data_dir: pathlib.Path) -> TranslationData:
    return open_data(data_dir, vocab_size=VOCABULARY, max_length=LENGTH, split_sizes=SIZES)


def test_prepared_batches_are_those_of_the_same_pairs_in_memory(tmp_path: pathlib.Path) -> None:
    write(tmp_path)
    batch = opened(tmp_path).data.open("validation", batch_size=20, seed=0, placement=Placement()).batch(0)
    sizes = {"train": 50, "eval_train": 10, "validation": 20, "test": 20}
    same = open_data(None, vocab_size=VOCABULARY, max_length=LENGTH, split_sizes=sizes).data
    expected = same.open("validation", batch_size=20, seed=0, placement=Placement()).batch(0)
    assert batch["inputs"].dtype == np.int32
    for name in expected:
        np.testing.assert_array_equal(batch[name], expected[name])


def test_nothing_is_read_before_it_is_needed(tmp_path: pathlib.Path) -> None:
    found = opened(tmp_path / "nowhere")
    assert found.tokenizer.vocab_size == VOCABULARY
    with pytest.raises(DataError, match=r"no prepared wmt data in .*python -m algoperf_jax.prepare wmt"):
        found.data.open("train", batch_size=4, seed=0, placement=Placement())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"tokenizer": {"vocab_size": 299, "sha256": ""}},
            "tokenizer of the prepared wmt data: found 299; expected 300.*--option=vocab_size=300.*--force",
        ),
        ({"max_length": 81}, "longest sentence in the prepared wmt data: found 81; expected at most 80 tokens"),
        ({"tokenizer": None}, "the manifest of the prepared wmt data names no tokenizer"),
    ],
)
def test_data_that_do_not_fit_the_model(tmp_path: pathlib.Path, changes: dict[str, Any], message: str) -> None:
    write(tmp_path, **changes)
    with pytest.raises(DataError, match=message):
        opened(tmp_path).data.open("train", batch_size=4, seed=0, placement=Placement())
    with pytest.raises(DataError, match=message):
        opened(tmp_path).data.describe()


def test_a_tokenizer_that_is_not_the_one_in_the_manifest(tmp_path: pathlib.Path) -> None:
    write(tmp_path)
    with pytest.raises(DataError, match=r"SHA-256 of the tokenizer in the prepared wmt data: found .*; expected 0000"):
        opened(tmp_path).tokenizer.decode([5, 2])
