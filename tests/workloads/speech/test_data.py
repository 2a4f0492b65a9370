"""Batches of utterances: shapes, order, paddings, and what does not change them."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import pytest

from algoperf_jax.data import prepared, shuffle
from algoperf_jax.data.prepared import Block
from algoperf_jax.errors import DataError
from algoperf_jax.workload import EVALUATION_SPLITS, Batch, Placement, SplitName
from workloads import sentence_pieces
from workloads.prepared_text import tokenizer_block, tokenizer_facts
from workloads.sentence_pieces import END_ID, SentencePieceTokenizer
from workloads.speech.builtin import ToyUtterances
from workloads.speech.data import SpeechData, open_data
from workloads.speech.prepare import DATASET, index_of
from workloads.speech.sizes import FULL, SMALL, Shape, Size, samples_needed, shape_of, shapes

SIZE = Size(64, 32_000, 64)
"""With more lengths than the small workloads have."""
SIZES: dict[str, int] = {"train": 90, "eval_train": 20, "validation": 45, "test": 20}


def builtin() -> SpeechData:
    return open_data(None, size=SIZE, split_sizes=SIZES)


def toy() -> ToyUtterances:
    return ToyUtterances(SIZE, {split: SIZES[split] for split in ("train", "validation", "test")})


def batches(split: SplitName, placement: Placement = Placement(), seed: int = 3) -> list[Any]:
    reader = builtin().data.open(split, batch_size=16, seed=seed, placement=placement)
    return [reader.batch(k) for k in range(reader.num_batches or 4)]


def rows_of(batch: Batch) -> list[tuple[bytes, tuple[int, ...]]]:
    """Samples and token ids of each utterance, without padding."""
    ids, paddings = batch["targets"]
    rows = zip(batch["inputs"], batch["input_lengths"], ids, paddings, batch["weights"], strict=True)
    return [
        (samples[:length].tobytes(), tuple(tokens[padding == 0].tolist()))
        for samples, length, tokens, padding, weight in rows
        if weight
    ]


def known(split: str) -> list[tuple[bytes, tuple[int, ...]]]:
    plan = toy().examples(split)
    encoded = np.split(plan.targets, np.cumsum(plan.num_targets)[:-1])
    return [(plan.read(index).tobytes(), tuple(ids.tolist())) for index, ids in enumerate(encoded)]


@pytest.mark.parametrize("split", ["train", *EVALUATION_SPLITS])
def test_batches_are_as_long_as_they_need_to_be(split: SplitName) -> None:
    for batch in batches(split):
        (rows, num_samples), (ids, paddings) = batch["inputs"].shape, batch["targets"]
        num_targets = (1 - paddings).sum(1).astype(int)
        shape = Shape(num_samples, ids.shape[1])
        assert shape in shapes(SIZE)
        assert shape == shape_of(SIZE, batch["input_lengths"], num_targets)
        assert batch["inputs"].dtype == np.int16
        assert batch["input_lengths"].dtype == ids.dtype == np.int32
        assert paddings.dtype == batch["weights"].dtype == np.float32
        for row in range(rows):
            assert not batch["inputs"][row, batch["input_lengths"][row] :].any()
            assert ids[row, num_targets[row] - 1] == END_ID
            assert not ids[row, num_targets[row] :].any()
            np.testing.assert_array_equal(paddings[row], np.arange(ids.shape[1]) >= num_targets[row])


def test_an_epoch_of_training_has_every_utterance_once_in_the_seeded_order() -> None:
    expected = known("train")
    found = [row for k in range(SIZES["train"] // 15) for row in rows_of(open_train(k))]
    order = shuffle.epoch_order(SIZES["train"], 3, 0)
    assert found == [expected[index] for index in order]


def open_train(k: int) -> Batch:
    return builtin().data.open("train", batch_size=15, seed=3, placement=Placement()).batch(k)


@pytest.mark.parametrize("split", EVALUATION_SPLITS)
def test_evaluation_has_each_utterance_once_and_the_longest_first(split: SplitName) -> None:
    found = batches(split)
    rows = [row for batch in found for row in rows_of(batch)]
    lengths = [len(samples) for samples, _ in rows]
    assert lengths == sorted(lengths, reverse=True)
    assert len(set(rows)) == len(rows) == SIZES[split]
    assert set(rows) <= set(known("train" if split == "eval_train" else split))
    assert len({batch["inputs"].shape for batch in found}) > 1


@pytest.mark.parametrize("split", ["train", *EVALUATION_SPLITS])
def test_processes_and_devices_change_nothing(split: SplitName) -> None:
    whole = batches(split)
    halves = [batches(split, Placement(index, 2, 8)) for index in range(2)]
    for k, batch in enumerate(whole):
        joined = jax.tree.map(lambda *parts: np.concatenate(parts), *(half[k] for half in halves))
        jax.tree.map(np.testing.assert_array_equal, joined, batch)


def test_padding_repeats_a_row_with_weight_0() -> None:
    last = batches("validation", Placement(device_count=8))[-1]
    count = SIZES["validation"] % 16
    assert last["weights"].tolist() == [1] * count + [0] * (16 - count)
    for array in (last["inputs"], last["input_lengths"], *last["targets"]):
        np.testing.assert_array_equal(array[count:], np.broadcast_to(array[0], array[count:].shape))


# --- shapes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [SIZE, SMALL, FULL])
def test_shapes_grow_to_the_limits(size: Size) -> None:
    found = shapes(size)
    assert found[-1] == (size.max_samples, size.max_targets)
    assert list(found) == sorted(found)
    assert all(shape.samples % 640 == 0 for shape in found)
    for num_samples, num_targets in ((401, 2), (size.max_samples // 2, 3), (size.max_samples, size.max_targets)):
        shape = shape_of(size, np.array([401, num_samples]), np.array([num_targets, 2]))
        assert shape.samples >= samples_needed(np.array(num_samples), size.max_samples)
        assert shape.targets >= num_targets


def test_a_valid_logit_sees_only_frames_that_are_there() -> None:
    """Its last frame, and the two halvings, reach so far."""
    most = 320_000
    for num_samples in (401, 640, 641, 12_345, 319_999, most):
        (needed,) = samples_needed(np.array([num_samples]), most)
        assert num_samples <= needed <= most
        if needed < most:
            last_valid_frame = (num_samples - 1) // 160
            assert 160 * (last_valid_frame + 1) + 401 <= needed


# --- prepared -------------------------------------------------------------------------------------------------------


def write(data_dir: pathlib.Path, vocab_size: int = 64, **changes: Any) -> SentencePieceTokenizer:
    """The built-in utterances as `prepare` writes real ones, in records of another order."""
    splits = {}
    for split in ("train", "validation", "test"):
        plan, index = toy().examples(split), dict(toy().columns(index_of(split)))
        order = np.random.default_rng(0).permutation(len(plan))
        splits[split] = [
            Block(1, {"samples": plan.read(number), "name": np.zeros(1, np.uint8)}) for number in np.argsort(order)
        ]
        splits[index_of(split)] = [Block(len(plan), {**index, "record": order.astype(np.int32)})]
    pieces = SentencePieceTokenizer(sentence_pieces.train([["EINS ZWEI DREI"]] * 5, vocab_size=13))
    splits["tokenizer"] = [tokenizer_block(pieces)]
    facts: Mapping[str, Any] = {"tokenizer": {**tokenizer_facts(pieces), "vocab_size": vocab_size}, **changes}
    prepared.write(data_dir, DATASET, splits, source="a test", facts=lambda: facts)
    return pieces


@pytest.mark.parametrize("split", ["train", *EVALUATION_SPLITS])
def test_prepared_utterances_are_those_in_memory(tmp_path: pathlib.Path, split: SplitName) -> None:
    write(tmp_path)
    found = open_data(tmp_path, size=SIZE, split_sizes=SIZES)
    assert found.size == Size(64, 320_000, 256)
    assert found.data.origin == "prepared"
    reader = found.data.open(split, batch_size=16, seed=3, placement=Placement())
    for k, expected in enumerate(batches(split)):
        batch = reader.batch(k)
        assert Shape(batch["inputs"].shape[1], batch["targets"][0].shape[1]) in shapes(found.size)
        assert rows_of(batch) == rows_of(expected)


def test_the_tokenizer_is_the_one_in_the_data(tmp_path: pathlib.Path) -> None:
    pieces = write(tmp_path)
    found = open_data(tmp_path, size=SIZE, split_sizes=SIZES)
    (ids,) = pieces.encode(["ZWEI EINS"])
    assert found.tokenizer.decode(ids) == "ZWEI EINS"


def test_nothing_is_read_before_it_is_needed(tmp_path: pathlib.Path) -> None:
    found = open_data(tmp_path / "nowhere", size=SIZE, split_sizes=SIZES)
    assert found.tokenizer.vocab_size == SIZE.vocab_size
    with pytest.raises(DataError, match=r"no prepared librispeech data in .*algoperf_jax.prepare librispeech"):
        found.data.open("train", batch_size=4, seed=0, placement=Placement())


def test_a_tokenizer_of_another_size_than_the_model(tmp_path: pathlib.Path) -> None:
    write(tmp_path, vocab_size=1024)
    message = r"tokenizer of the prepared librispeech data: found 1024; expected 64, .*--option=vocab_size=64 --force"
    with pytest.raises(DataError, match=message):
        open_data(tmp_path, size=SIZE, split_sizes=SIZES).data.describe()


def test_a_damaged_record_is_named(tmp_path: pathlib.Path) -> None:
    write(tmp_path)
    (path,) = (tmp_path / "librispeech").glob("test-00000*")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    reader = open_data(tmp_path, size=SIZE, split_sizes=SIZES).data.open(
        "test", batch_size=SIZES["test"], seed=0, placement=Placement()
    )
    with pytest.raises(DataError, match=rf"record \d+ of {path} is damaged"):
        reader.batch(0)


def test_the_description_names_what_the_data_are() -> None:
    assert builtin().data.describe() == {
        "dataset": "generated",
        "version": "1",
        "split_sizes": {split: SIZES[split] for split in ("train", "validation", "test")},
        **dataclasses.asdict(SIZE),
    }
