"""Packed rows are those of the reference, and contain every token once."""

import os
import pathlib

import numpy as np
import pytest

from algoperf_jax.data import packing, sequences, shuffle
from algoperf_jax.data.packing import BinStream
from algoperf_jax.data.sequences import Sequences
from algoperf_jax.workload import Placement
from tests.algoperf_jax.data.packed_text import FIELDS, GROUP, LENGTH, SIZES, packed_text, random_pairs


def made_of(*rows: list[int]) -> Sequences:
    return Sequences(np.array([token for row in rows for token in row], np.int32), np.array([len(row) for row in rows]))


def test_packed_rows_are_those_of_the_reference() -> None:
    folder = os.environ.get("ALGOPERF_GOLDEN_DIR")
    if not folder:
        pytest.skip("ALGOPERF_GOLDEN_DIR does not name the folder with wmt_packing.npz")
    with np.load(pathlib.Path(folder) / "wmt_packing.npz") as archive:
        golden = dict(archive)
    length = int(golden["max_length"])
    fields = {name: Sequences(golden[f"examples/{name}_flat"], golden[f"examples/{name}_lengths"]) for name in FIELDS}
    starts = packing.greedy_starts(
        [field.all_packed_lengths(length) for field in fields.values()], [length] * 2, most=2 * length, group=length
    )
    packed = sequences.pack_sequences(fields, np.split(np.arange(starts[-1]), starts[1:-1]), length)
    assert len(packed) == 6
    for name, rows in packed.items():
        assert rows.dtype == golden[name].dtype
        np.testing.assert_array_equal(rows, golden[name], err_msg=name)


def test_positions_and_segments() -> None:
    fields = {"inputs": made_of([5, 6, 2], [7, 2], [2]), "targets": made_of([8, 2], [9, 9, 2], [3, 2])}
    packed = sequences.pack_sequences(fields, [np.array([1, 0]), np.array([], int), np.array([2])], 6)
    assert packed["inputs"].tolist() == [[7, 2, 5, 6, 2, 0], [0] * 6, [2, 0, 0, 0, 0, 0]]
    assert packed["inputs_position"].tolist() == [[0, 1, 0, 1, 2, 0], [0] * 6, [0] * 6]
    assert packed["inputs_segmentation"].tolist() == [[1, 1, 2, 2, 2, 0], [0] * 6, [1, 0, 0, 0, 0, 0]]
    assert packed["targets"].tolist() == [[9, 9, 2, 8, 2, 0], [0] * 6, [3, 2, 0, 0, 0, 0]]
    assert packed["targets_segmentation"].tolist() == [[1, 1, 1, 2, 2, 0], [0] * 6, [1, 1, 0, 0, 0, 0]]


def test_zeros_shorten_a_sequence_and_long_ones_are_cut_off() -> None:
    field = made_of([5, 0, 7, 2], [4, 4, 4, 4, 4, 4, 2], [])
    assert field.all_packed_lengths(5).tolist() == [3, 5, 0]
    assert field.packed_lengths(np.array([1, 2, 0]), 6).tolist() == [6, 0, 3]
    packed = sequences.pack_sequences({"inputs": field}, [np.array([0]), np.array([1])], 5)
    assert packed["inputs"].tolist() == [[5, 0, 7, 0, 0], [4, 4, 4, 4, 4]]
    assert packed["inputs_segmentation"].tolist() == [[1, 0, 1, 0, 0], [1, 1, 1, 1, 1]]


def test_padded_rows() -> None:
    field = made_of([5, 0, 7, 2], [2], [4, 4, 4, 4, 4, 2])
    rows = sequences.pad_sequences(field, np.array([2, 1, 0]), 5)
    assert rows.dtype == np.int32
    assert rows.tolist() == [[4, 4, 4, 4, 4], [2, 0, 0, 0, 0], [5, 0, 7, 2, 0]]


def test_lengths_do_not_depend_on_how_many_are_counted_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    field = random_pairs(100, 3)["inputs"]
    whole = field.all_packed_lengths(9)
    monkeypatch.setattr(sequences, "_AT_A_TIME", 7)
    np.testing.assert_array_equal(field.all_packed_lengths(9), whole)


def test_the_training_stream_has_every_pair_once_in_an_epoch() -> None:
    pairs = random_pairs(SIZES["train"], 0)
    order = shuffle.endless_indices(SIZES["train"], 5)(0, 2 * SIZES["train"])
    stream = BinStream(
        [pairs[name].lengths for name in FIELDS],
        [LENGTH] * 2,
        shuffle.endless_indices(SIZES["train"], 5),
        most=64,
        group=GROUP,
    )
    reader = packed_text().open("train", batch_size=8, seed=5, placement=Placement())
    sentences: dict[str, list[list[int]]] = {name: [] for name in FIELDS}
    for k in range(50):
        batch = reader.batch(k)
        expected = sequences.pack_sequences(pairs, stream.bins(8 * k, 8 * k + 8), LENGTH)
        for name, rows in expected.items():
            np.testing.assert_array_equal(batch[name], rows)
        np.testing.assert_array_equal(batch["weights"], batch["targets"] > 0)
        for name in FIELDS:
            for tokens, segments in zip(batch[name], batch[f"{name}_segmentation"], strict=True):
                sentences[name] += [tokens[segments == segment].tolist() for segment in range(1, segments.max() + 1)]
    for name in FIELDS:
        field = pairs[name]
        wanted = [field.tokens[field.starts[i] : field.starts[i] + field.lengths[i]].tolist() for i in order]
        assert sentences[name][: len(wanted)] == wanted


def test_processes_make_their_own_rows() -> None:
    def batch(placement: Placement) -> dict:
        return dict(packed_text().open("train", batch_size=8, seed=1, placement=placement).batch(9))

    halves = [batch(Placement(index, 2, 8)) for index in range(2)]
    for name, rows in batch(Placement()).items():
        np.testing.assert_array_equal(np.concatenate([half[name] for half in halves]), rows)


def test_padded_evaluation_counts_every_token_once() -> None:
    pairs = random_pairs(SIZES["validation"], 3)
    reader = packed_text().open("validation", batch_size=16, seed=1, placement=Placement())
    assert reader.num_batches == 4
    batches = [reader.batch(k) for k in range(4)]
    assert {tuple(batch) for batch in batches} == {("inputs", "targets", "weights")}
    assert sum(batch["weights"].sum() for batch in batches) == pairs["targets"].lengths.sum()
