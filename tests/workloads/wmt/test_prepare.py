"""From raw text to prepared splits: every form gives the same, and every kind of damage is named."""

import gzip
import json
import logging
import os
import pathlib
import re
import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import workloads
from algoperf_jax import prepare as command
from algoperf_jax.data import prepared
from algoperf_jax.data.prepared import Prepared
from algoperf_jax.errors import ConfigError, DataError
from tests.workloads.wmt import texts
from tests.workloads.wmt.texts import COUNTS, OPTIONS, write_plain, write_tfds, write_wmt
from workloads import sentence_pieces
from workloads.sentence_pieces import SentencePieceTokenizer
from workloads.wmt import prepare
from workloads.wmt.prepare import DATASET, convert


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workloads, "preparation", lambda name: prepare)


def run(folder: pathlib.Path, data_dir: pathlib.Path, **options: str) -> Prepared:
    command.prepare("wmt", data_dir, raw=folder, force=False, options={**OPTIONS, **options})
    return prepared.load(data_dir, DATASET)


def sentences(found: Prepared, split: str) -> list[tuple[str, str]]:
    """The text that was encoded."""
    pieces = SentencePieceTokenizer(found.columns("tokenizer")["model"].tobytes())
    columns, sides = found.columns(split), []
    for name in ("inputs", "targets"):
        assert (columns[name].dtype, columns[f"{name}_lengths"].dtype) == (np.uint16, np.int32)
        encoded = np.split(columns[name], np.cumsum(columns[f"{name}_lengths"])[:-1])
        assert {ids[-1] for ids in encoded} == {sentence_pieces.END_ID}
        sides.append([pieces.decode(ids.tolist()) for ids in encoded])
    return list(zip(*sides, strict=True))


def assert_all_there(found: Prepared) -> None:
    for split, count in COUNTS.items():
        assert found.num_examples(split) == count
        assert sentences(found, split) == list(texts.pairs(split))


@pytest.mark.parametrize("packed", [False, True])
def test_plain_text(tmp_path: pathlib.Path, packed: bool) -> None:
    assert_all_there(run(write_plain(tmp_path / "raw", packed=packed), tmp_path / "data"))


def test_archives_of_wmt(tmp_path: pathlib.Path) -> None:
    found = run(write_wmt(tmp_path / "raw"), tmp_path / "data")
    assert_all_there(found)
    assert found.facts["corpora"]["validation"] == ["dev.tgz/dev/newstest2013"]


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_tensorflow_datasets(tmp_path: pathlib.Path, file_format: str) -> None:
    pytest.importorskip("tensorflow_datasets")
    assert_all_there(run(write_tfds(tmp_path / "raw", file_format), tmp_path / "data"))


def test_the_manifest_has_the_checksum_of_the_tokenizer_and_all_counts(tmp_path: pathlib.Path) -> None:
    found = run(write_plain(tmp_path / "raw"), tmp_path / "data")
    model = found.columns("tokenizer")["model"].tobytes()
    assert model == sentence_pieces.train(texts.pairs("train"), vocab_size=150)
    facts = json.loads((tmp_path / "data" / "wmt" / "manifest.json").read_text())["facts"]
    assert facts["tokenizer"]["sha256"] == SentencePieceTokenizer(model).sha256
    assert facts["tokenizer"]["vocab_size"] == 150
    assert facts["pairs"]["train"] == {"read": 300, "kept": 300, "with an empty side": 0, "over 256 tokens": 0}
    assert found.describe()["facts"] == facts


def test_a_tokenizer_in_the_folder_is_used(tmp_path: pathlib.Path) -> None:
    folder = write_plain(tmp_path / "raw")
    model = sentence_pieces.train(texts.pairs("train")[:200], vocab_size=120)
    (folder / "wmt_sentencepiece_model").write_bytes(model)
    found = run(folder, tmp_path / "data", vocab_size="120")
    assert found.columns("tokenizer")["model"].tobytes() == model
    with pytest.raises(DataError, match=r"wmt_sentencepiece_model: found 120; expected 150 pieces.*vocab_size=120"):
        convert(folder, **OPTIONS)
    (folder / "wmt_sentencepiece_model").write_bytes(model[: len(model) // 3])
    with pytest.raises(DataError, match="wmt_sentencepiece_model is not a SentencePiece model"):
        convert(folder, **OPTIONS)


def test_two_tokenizers(tmp_path: pathlib.Path) -> None:
    folder = write_plain(tmp_path)
    for name in ("a.model", "b.model"):
        (folder / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"found \[.*a.model', .*b.model'\]; expected one"):
        convert(folder)


def replaced(folder: pathlib.Path, name: str, content: bytes) -> pathlib.Path:
    (folder / name).write_bytes(content)
    return folder


def test_pairs_that_are_left_out_are_counted(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_plain(tmp_path / "raw")
    german, english = (texts.lines("train", side).splitlines(keepends=True) for side in (0, 1))
    german[3], english[7], german[7], english[9] = b"\n", b"  \r\n", b"\n", english[9][:-1] * 30 + b"\n"
    replaced(folder, "train.de", b"".join(german))
    replaced(folder, "train.en", b"".join(english))
    with caplog.at_level(logging.INFO):
        found = run(folder, tmp_path / "data", max_length="100")
    assert found.facts["pairs"]["train"] == {"read": 300, "kept": 297, "with an empty side": 2, "over 100 tokens": 1}
    assert "train: 300 pairs, 297 kept, left out: 2 with an empty side, 1 over 100 tokens" in caplog.text
    assert "train does not have the 5,906,184 pairs of WMT" in caplog.text
    kept = [pair for number, pair in enumerate(texts.pairs("train")) if number not in (3, 7, 9)]
    assert sentences(found, "train") == kept


def test_a_side_as_long_as_allowed_is_kept(tmp_path: pathlib.Path) -> None:
    folder = write_plain(tmp_path / "raw")
    found = run(folder, tmp_path / "data")
    columns = found.columns("test")
    longest = int(max(columns["inputs_lengths"].max(), columns["targets_lengths"].max()))
    assert run(folder, tmp_path / "same", max_length=str(longest)).num_examples("test") == COUNTS["test"]
    assert run(folder, tmp_path / "less", max_length=str(longest - 1)).num_examples("test") < COUNTS["test"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "train.en",
            b"One.\nTwo.\n",
            r"numbers of sentences in .*train.de and .*train.en: found \(300, 2\); expected the same number",
        ),
        (
            "test_2016.en",
            b"Yes.\n" * 11,
            r"numbers of sentences in .*test_2016.de and .*test_2016.en: found \(10, 11\)",
        ),
        (
            "val.de",
            b"Ja.\nSch\xf6n.\n" + b"Ja.\n" * 18,
            r"line 2 of .*val.de is not UTF-8: found b'Sch\\xf6n.\\n'.*iconv",
        ),
        (
            "test_2016.de",
            b"\n" * 10,
            r"no pair is left in the split test: found 'test: 10 pairs, 0 kept, left out: 10 with",
        ),
    ],
)
def test_damaged_text(tmp_path: pathlib.Path, name: str, content: bytes, message: str) -> None:
    folder = replaced(write_plain(tmp_path / "raw"), name, content)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(DataError, match=message):
        run(folder, tmp_path / "data")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert not (tmp_path / "data" / "wmt").exists()


def test_data_that_are_there_outlive_an_attempt_that_fails(tmp_path: pathlib.Path) -> None:
    folder = write_plain(tmp_path / "raw")
    run(folder, tmp_path / "data")
    replaced(folder, "val.de", b"Ja.\n")
    with pytest.raises(DataError, match="numbers of sentences"):
        command.prepare("wmt", tmp_path / "data", raw=folder, force=True, options=OPTIONS)
    assert_all_there(prepared.load(tmp_path / "data", DATASET))


def test_files_that_are_cut_short(tmp_path: pathlib.Path) -> None:
    folder = write_plain(tmp_path / "raw", packed=True)
    content = gzip.compress(texts.lines("validation", 0))
    replaced(folder, "val.de.gz", content[: len(content) // 2])
    with pytest.raises(DataError, match=r"val.de.gz cannot be read .*Download it again"):
        run(folder, tmp_path / "data")
    archives = write_wmt(tmp_path / "archives")
    content = (archives / "rapid2016.tgz").read_bytes()
    replaced(archives, "rapid2016.tgz", content[: len(content) // 2])
    with pytest.raises(DataError, match=r"rapid2016.tgz cannot be unpacked .*Download it again"):
        run(archives, tmp_path / "data")


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_damaged_tensorflow_datasets(tmp_path: pathlib.Path, file_format: str) -> None:
    pytest.importorskip("tensorflow_datasets")
    folder = write_tfds(tmp_path / "raw", file_format)
    shard = folder / "wmt14_translate/de-en/1.0.0" / f"wmt14_translate-validation.{file_format}-00001-of-00003"
    content = shard.read_bytes()
    shard.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=rf"{shard} is damaged.*TensorFlow Datasets again"):
        run(folder, tmp_path / "data")
    shard.unlink()
    with pytest.raises(DataError, match=r"files of the split validation in .*; expected all shards"):
        run(folder, tmp_path / "data")


def test_a_record_that_is_no_translation(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("tensorflow_datasets")
    folder = write_tfds(tmp_path / "raw", "tfrecord")
    shard = folder / "wmt17_translate/de-en/1.0.0/wmt17_translate-train.tfrecord-00000-of-00003"
    shard.write_bytes(shard.read_bytes().replace(b"\x0a\x02en", b"\x0a\x02fr", 1))
    with pytest.raises(DataError, match=r"record 0 of .*00000-of-00003 is damaged.*features de and en"):
        convert(folder, **OPTIONS)


@pytest.mark.parametrize(
    ("without", "message"),
    [
        (["val.en"], "val.de has no translation next to it; expected val.en, gzipped or not"),
        (["test_2016.de", "test_2016.en"], "no text for the split test in .*wmt14_translate.*--option=test=PATTERN"),
    ],
)
def test_missing_text(tmp_path: pathlib.Path, without: list[str], message: str) -> None:
    folder = write_plain(tmp_path)
    for name in without:
        (folder / name).unlink()
    with pytest.raises(DataError, match=message):
        convert(folder, **OPTIONS)


def test_the_documents_of_a_split_can_be_named(tmp_path: pathlib.Path) -> None:
    write_plain(tmp_path / "raw" / "one")
    write_plain(tmp_path / "raw" / "two", packed=True)
    with pytest.raises(DataError, match=r"the corpus train exists several times: found \['one/train', 'two/train'\]"):
        convert(tmp_path / "raw", **OPTIONS)
    options = {"train": "one/train.*,two/val.*", "validation": "two/val.*", "test": "one/test_2016.*"}
    found = run(tmp_path / "raw", tmp_path / "data", **options)
    assert found.num_examples("train") == COUNTS["train"] + COUNTS["validation"]
    assert found.facts["corpora"] == {
        "train": ["one/train", "two/val"],
        "validation": ["two/val"],
        "test": ["one/test_2016"],
    }


def test_what_is_unpacked_is_not_taken_from_the_archive_too(tmp_path: pathlib.Path) -> None:
    folder = write_wmt(tmp_path / "raw")
    shutil.unpack_archive(folder / "rapid2016.tgz", folder / "unpacked")
    assert_all_there(run(folder, tmp_path / "data"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocab_size": "many"}, "--option vocab_size: found 'many'; expected a number from 4 to 65,536"),
        ({"max_length": "1"}, "--option max_length: found '1'"),
    ],
)
def test_options_that_are_no_numbers(tmp_path: pathlib.Path, options: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        convert(tmp_path, **options)


@pytest.mark.skipif("ALGOPERF_TEST_DATA" not in os.environ, reason="ALGOPERF_TEST_DATA is not set")
def test_real_text(tmp_path: pathlib.Path) -> None:
    """Multi30k for training and validation, newstest2021 for the test."""
    raw = pathlib.Path(os.environ["ALGOPERF_TEST_DATA"]) / "wmt"
    found = run(
        raw,
        tmp_path,
        vocab_size="8000",
        train="multi30k/train.*",
        validation="multi30k/val.*",
        test="newstest/newstest2021.de-en.*",
    )
    assert [found.num_examples(split) for split in COUNTS] == [29_000, 1_014, 1_000]
    german, english = sentences(found, "validation")[0]
    expected = [gzip.decompress((raw / f"multi30k/val.{language}.gz").read_bytes()) for language in ("de", "en")]
    assert (german, english) == tuple(text.decode().partition("\n")[0] for text in expected)
    assert found.facts["corpora"]["test"] == ["newstest/newstest2021.de-en"]
