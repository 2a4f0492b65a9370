"""From saved token ids and from text to token files: every form gives the same, and every kind of damage is named."""

import gzip
import json
import logging
import lzma
import os
import pathlib
import sys
from collections.abc import Callable, Sequence

import numpy as np
import pytest

import workloads
from algoperf_jax import prepare as command
from algoperf_jax.data import prepared
from algoperf_jax.errors import ConfigError, DataError
from algoperf_jax.workload import Placement
from tests.workloads.finewebedu_lm import texts
from tests.workloads.finewebedu_lm.texts import (
    OPTIONS,
    TEXTS,
    VOCABULARY,
    write_json_lines,
    write_parquet,
    write_saved,
    write_tokenizer,
    write_vocabulary,
)
from workloads.finewebedu_lm import byte_pairs, prepare, raw_text, tokens
from workloads.finewebedu_lm.data import open_data
from workloads.finewebedu_lm.tokens import DATASET

pytest.importorskip("tokenizers")
pytest.importorskip("pyarrow")

NUM_TRAIN = int(0.9 * len(TEXTS))


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workloads, "preparation", lambda name: prepare)


def run(folder: pathlib.Path, data_dir: pathlib.Path, *, force: bool = False, **options: str) -> None:
    command.prepare("finewebedu_lm", data_dir, raw=folder, force=force, options={**OPTIONS, **options})


def documents(data_dir: pathlib.Path, split: str, *names: str) -> list[list[int]]:
    """The documents of a prepared split, in the files `names`."""
    found = prepared.load(data_dir, DATASET)
    stream, lengths = tokens.open_files(data_dir / DATASET.name, names or [split])
    everything = np.empty(len(stream), np.uint16)
    stream.read(0, everything)
    assert found.num_examples(split) == len(lengths)
    assert found.facts["tokens"][split] == len(stream)
    return [part.tolist() for part in np.split(everything, np.cumsum(lengths)[:-1])]


def assert_all_there(data_dir: pathlib.Path, expected: Sequence[list[int]] | None = None) -> None:
    train, validation = (documents(data_dir, split) for split in ("train", "validation"))
    expected = texts.ids() if expected is None else expected
    assert sorted(train + validation) == sorted(expected)
    assert len(train) == int(0.9 * len(expected))
    assert train + validation != list(expected), "shuffled"
    assert {document[-1] for document in train + validation} == {VOCABULARY - 1}
    left = {path.name for path in (data_dir / DATASET.name).iterdir()}
    assert not [name for name in left if name.startswith(("raw", "unfinished"))]


# --- text -----------------------------------------------------------------------------------------------------------


def test_json_lines(tmp_path: pathlib.Path) -> None:
    write_json_lines(write_tokenizer(tmp_path / "raw") / "documents.jsonl")
    run(tmp_path / "raw", tmp_path / "data")
    assert_all_there(tmp_path / "data")
    # The same again, in the same order.
    run(tmp_path / "raw", tmp_path / "again")
    assert documents(tmp_path / "data", "train") == documents(tmp_path / "again", "train")
    facts = json.loads((tmp_path / "data" / DATASET.name / "manifest.json").read_text())["facts"]
    assert facts["tokenizer"] == {"vocab_size": 300, "sha256": texts.tokenizer().sha256, "from": "tokenizer.json"}
    assert (facts["kind"], facts["files"]) == ("JSON lines", ["documents.jsonl"])


def test_parquet_in_subfolders_with_the_files_of_gpt2(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "raw" / "sample" / "10BT"
    write_parquet(folder / "000_00000.parquet", {"text": TEXTS[:20], "score": [1.0] * 20})
    write_parquet(folder / "001_00000.parquet", {"text": [*TEXTS[20:], "", None], "score": [1.0] * 22})
    write_vocabulary(tmp_path / "raw")
    run(tmp_path / "raw", tmp_path / "data")
    assert_all_there(tmp_path / "data")


@pytest.mark.parametrize("compress", [None, gzip.compress, lzma.compress])
def test_paragraphs_of_plain_text(tmp_path: pathlib.Path, compress: Callable[[bytes], bytes] | None) -> None:
    folder = write_tokenizer(tmp_path / "raw")
    content = " \n\n".join(text.rstrip("\n") + "\n" for text in TEXTS).encode()
    suffix = {None: "", gzip.compress: ".gz", lzma.compress: ".xz"}[compress]
    (folder / f"text.txt{suffix}").write_bytes(content if compress is None else compress(content))
    run(folder, tmp_path / "data")
    encode = texts.tokenizer().encode
    assert_all_there(tmp_path / "data", [encode([text.rstrip("\n") + "\n"])[0].tolist() for text in TEXTS])


def test_files_of_plain_text(tmp_path: pathlib.Path) -> None:
    folder = write_tokenizer(tmp_path / "raw")
    for number in range(4):
        (folder / f"{number}.txt").write_text(f"Title {number}\n\nText.\n")
    run(folder, tmp_path / "data", documents="files")
    found = documents(tmp_path / "data", "train") + documents(tmp_path / "data", "validation")
    encode = texts.tokenizer().encode
    assert sorted(found) == sorted(encode([f"Title {n}\n\nText.\n"])[0].tolist() for n in range(4))


def test_a_literal_end_of_text_ends_one() -> None:
    found, lengths = texts.tokenizer().encode([TEXTS[2], "", "x"])
    ends = np.flatnonzero(found == VOCABULARY - 1)
    assert len(ends) == 3
    assert ends[1:].tolist() == (np.cumsum(lengths) - 1).tolist()


def test_an_interrupted_preparation_continues(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, data_dir = write_tokenizer(tmp_path / "raw"), tmp_path / "data"
    first, second = write_json_lines(folder / "1.jsonl", TEXTS[:20]), write_json_lines(folder / "2.jsonl", TEXTS[20:])
    whole = second.read_bytes()
    second.write_bytes(whole[:-30])
    with pytest.raises(DataError, match=r"line 20 of .*2.jsonl"):
        run(folder, data_dir)
    with pytest.raises(DataError, match="has not finished"):
        prepared.load(data_dir, DATASET)
    second.write_bytes(whole)
    read: list[pathlib.Path] = []
    original = raw_text.read
    monkeypatch.setattr(raw_text, "read", lambda file, **options: read.append(file.path) or original(file, **options))
    run(folder, data_dir)
    assert read == [second]
    assert_all_there(data_dir)
    # Files of another tokenizer are not kept.
    write_tokenizer(folder, vocab_size=290)
    run(folder, data_dir, force=True, vocab_size="290")
    assert read == [second, first, second]


# --- tokenizers -----------------------------------------------------------------------------------------------------


def test_a_tokenizer_is_trained(tmp_path: pathlib.Path) -> None:
    write_json_lines(tmp_path / "raw" / "documents.jsonl")
    run(tmp_path / "raw", tmp_path / "data", tokenizer="train")
    assert_all_there(tmp_path / "data")
    stored = tmp_path / "data" / DATASET.name / "tokenizer.json"
    assert stored.read_text(encoding="utf-8") == texts.tokenizer().content


def test_tokenizers_that_do_not_do(tmp_path: pathlib.Path) -> None:
    folder, data_dir = tmp_path / "raw", tmp_path / "data"
    write_json_lines(folder / "documents.jsonl")
    with pytest.raises(DataError, match=r"no tokenizer in .*expected tokenizer.json, or vocab.json and merges.txt"):
        run(folder, data_dir)
    write_vocabulary(folder)
    (folder / "merges.txt").rename(folder / "merges")
    with pytest.raises(DataError, match=r"has vocab.json but not merges.txt"):
        run(folder, data_dir)
    (folder / "merges.txt").write_text("one two three four\n")
    with pytest.raises(DataError, match=r"vocab.json cannot be read as a tokenizer \(.*[Mm]erges"):
        run(folder, data_dir)
    write_tokenizer(folder)
    with pytest.raises(DataError, match=r"tokenizer.json: found 300; expected 50257 token ids.*vocab_size=300"):
        command.prepare("finewebedu_lm", data_dir, raw=folder, force=False)
    with pytest.raises(DataError, match=r"found \d+; expected 5000 token ids.*needs more text"):
        run(folder, data_dir, tokenizer="train", vocab_size="5000")
    with pytest.raises(DataError, match=r"vocabulary of the tokenizer: found 200; expected at least 257"):
        run(folder, data_dir, tokenizer="train", vocab_size="200")
    content = (folder / "tokenizer.json").read_text(encoding="utf-8")
    (folder / "tokenizer.json").write_text(content.replace(byte_pairs.END_OF_TEXT, "<end>"), encoding="utf-8")
    with pytest.raises(DataError, match=r"tokenizer.json has no token <\|endoftext\|>"):
        run(folder, data_dir)
    few = json.loads(content)
    few["model"]["vocab"] = {token: number for token, number in few["model"]["vocab"].items() if token not in "Qé"}
    (folder / "tokenizer.json").write_text(json.dumps(few), encoding="utf-8")
    with pytest.raises(DataError, match=r"tokenizer.json has no tokens for 2 of the 256 bytes"):
        run(folder, data_dir)
    (folder / "tokenizer.json").write_text(content[:100], encoding="utf-8")
    with pytest.raises(DataError, match=r"tokenizer.json cannot be read as a tokenizer"):
        run(folder, data_dir)
    write_tokenizer(folder / "other")
    with pytest.raises(DataError, match=r"files tokenizer.json in .*expected one"):
        run(folder, data_dir)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocab_size": "many"}, "vocab_size: found 'many'; expected a number from 2 to 65,536"),
        ({"vocab_size": "65537"}, "vocab_size: found '65537'"),
        ({"tokenizer": "gpt2"}, "tokenizer: found 'gpt2'; expected train"),
        ({"documents": "lines"}, "documents: found 'lines'; expected paragraphs or files"),
    ],
)
def test_options_that_cannot_be(tmp_path: pathlib.Path, options: dict[str, str], message: str) -> None:
    write_json_lines(write_tokenizer(tmp_path / "raw") / "documents.jsonl")
    with pytest.raises(ConfigError, match=message):
        command.prepare("finewebedu_lm", tmp_path / "data", raw=tmp_path / "raw", force=False, options=options)


def test_libraries_that_are_not_installed(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = write_parquet(write_tokenizer(tmp_path / "raw") / "a.parquet", {"text": TEXTS})
    for name in ("tokenizers", "pyarrow.parquet"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            with pytest.raises(
                DataError, match=rf"needs {name.partition('.')[0]}, which is not installed.*\[prepare\]"
            ):
                run(text.parent, tmp_path / "data")


# --- text that is none ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"text\n\x89PNG\r\n\xff", r"a.txt is not text: line 2, byte 5.*expected UTF-8"),
        ("a.txt", b"text\nzero\0\n", r"a.txt is not text: line 2, byte 9"),
        ("a.txt", b" \n\n", r"number of documents in .*: found 0; expected at least 2"),
        ("a.txt.gz", gzip.compress(b"text\n" * 99, mtime=0)[:-12], r"a.txt.gz cannot be read"),
        ("a.txt.xz", b"not xz", r"a.txt.xz cannot be read"),
        ("a.jsonl", b'{"text": "a"}\n{"text": 3}\n', r"line 2 of .*a.jsonl: found '{\"text\": 3}'; expected an object"),
        ("a.jsonl", b'{"text": "a"}\n["text"]\n', r"line 2 of .*a.jsonl"),
        ("a.jsonl", b'{"content": "a"}\n', r"line 1 of .*a.jsonl"),
        ("a.jsonl", b'{"text": "a"}\n', r"number of documents in .*: found 1; expected at least 2"),
        ("a.parquet", b"PAR1 but no more", r"a.parquet cannot be read as Parquet"),
    ],
)
def test_files_that_are_damaged_or_empty(tmp_path: pathlib.Path, name: str, content: bytes, message: str) -> None:
    folder = write_tokenizer(tmp_path / "raw")
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        run(folder, tmp_path / "data")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"content": ["a"]}, r"columns of .*a.parquet: found \['content'\]; expected a column 'text'"),
        ({"text": [1, 2]}, r"row 0 of .*a.parquet: found 1; expected text"),
    ],
)
def test_parquet_without_text(tmp_path: pathlib.Path, columns: dict[str, list[object]], message: str) -> None:
    folder = write_tokenizer(tmp_path / "raw")
    write_parquet(folder / "a.parquet", columns)
    with pytest.raises(DataError, match=message):
        run(folder, tmp_path / "data")


def test_folders_with_nothing_or_a_mixture(tmp_path: pathlib.Path) -> None:
    folder, data_dir = write_tokenizer(tmp_path / "raw"), tmp_path / "data"
    with pytest.raises(DataError, match=r"no text and no token ids in .*raw; expected train/ and val/"):
        run(folder, data_dir)
    write_json_lines(folder / "a.jsonl")
    (folder / "b.txt").write_text("text\n")
    with pytest.raises(DataError, match=r"mixes files of several kinds.*plain text: b.txt.*JSON lines: a.jsonl"):
        run(folder, data_dir)
    (folder / "b.txt").unlink()
    write_saved(folder / "saved", {"train": [[[1, 2]]], "val": [[[3]]]})
    with pytest.raises(DataError, match=r"mixes token ids and text: found .*saved/train.*a.jsonl"):
        run(folder, data_dir)


# --- saved token ids ------------------------------------------------------------------------------------------------

SAVED = {"train": [[[1, 2, 299], [3, 299], [], [4]], [[5, 299]]], "val": [[[6], [7, 8, 9, 299]]]}


def test_saved_token_ids(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    """They keep their order and their split."""
    with caplog.at_level(logging.WARNING):
        run(write_saved(tmp_path / "raw" / "fineweb_edu_10B", SAVED), tmp_path / "data")
    assert documents(tmp_path / "data", "train", "train-00000", "train-00001") == [*SAVED["train"][0], [5, 299]]
    assert documents(tmp_path / "data", "validation", "validation-00000") == SAVED["val"][0]
    assert "train has 8 tokens, not the 8,749,870 windows" in caplog.text
    data = open_data(
        tmp_path / "data", sequence_length=3, vocab_size=VOCABULARY, split_sizes={"eval_train": 9, "validation": 9}
    )
    reader = data.open("eval_train", batch_size=9, seed=0, placement=Placement())
    assert reader.batch(0)["inputs"].tolist() == [[1, 2, 299], [299, 4, 5]]


def damaged(folder: pathlib.Path, name: str, change: Callable[[bytes], bytes] | None) -> pathlib.Path:
    path = write_saved(folder, SAVED) / name
    content = path.read_bytes()
    path.write_bytes(b"" if change is None else change(content))
    return folder


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        # A stream that ends between two batches reads as a whole one.
        ("train/data-00000-of-00002.arrow", lambda c: c[:-8], r"00002.arrow ends at byte \d+, after document 3"),
        ("train/data-00000-of-00002.arrow", lambda c: c[:-30], r"is damaged after byte \d+, in or after document 3"),
        ("train/data-00000-of-00002.arrow", None, r"00002.arrow is damaged after byte 0, in or after document 0"),
        ("val/state.json", None, r"val/state.json is damaged"),
        (
            "val/state.json",
            lambda c: c.replace(b"data-0", b"data-9"),
            r"data-90000.*arrow is missing, which .*state",
        ),
        (
            "val/state.json",
            lambda c: c.replace(b'"_split"', b'"_indices_data_files": [1], "_split"'),
            r"state.json gives the rows another order.*flatten_indices",
        ),
    ],
)
def test_damaged_token_ids(
    tmp_path: pathlib.Path, name: str, change: Callable[[bytes], bytes] | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        run(damaged(tmp_path / "raw", name, change), tmp_path / "data")


def test_token_ids_out_of_range(tmp_path: pathlib.Path) -> None:
    for wrong, shown in ((300, "300"), (-1, "-1"), (70_000, "70000")):
        documents = [[1], [2, 3], [4, 299], [5], [6, wrong, 7]]
        folder = write_saved(tmp_path / "raw", {"train": [documents], "val": [[[1]]]})
        with pytest.raises(DataError, match=rf"token id in document 4 of .*arrow: found {shown}; expected 0 to 299"):
            run(folder, tmp_path / "data")


def test_splits_that_are_missing_or_empty(tmp_path: pathlib.Path) -> None:
    with pytest.raises(DataError, match=r"has no folder 'val' with a state.json"):
        run(write_saved(tmp_path / "one", {"train": [[[1]]]}), tmp_path / "data")
    with pytest.raises(DataError, match=r"no tokens in validation-00000"):
        run(write_saved(tmp_path / "two", {"train": [[[1]]], "val": [[[]]]}), tmp_path / "data")
    with pytest.raises(DataError, match=r"val has no documents"):
        run(write_saved(tmp_path / "three", {"train": [[[1]]], "val": []}), tmp_path / "data")
    for name in "ab":
        write_saved(tmp_path / "four" / name, SAVED)
    with pytest.raises(DataError, match=r"folders with data sets of token ids in .*expected one"):
        run(tmp_path / "four", tmp_path / "data")


def test_columns_without_token_ids(tmp_path: pathlib.Path) -> None:
    import pyarrow

    folder = write_saved(tmp_path / "raw", SAVED)
    table = pyarrow.table({"input_ids": ["a", "b"]})
    with pyarrow.ipc.new_stream(str(folder / "val" / "data-00000-of-00001.arrow"), table.schema) as stream:
        stream.write_table(table)
    with pytest.raises(DataError, match=r"columns of .*val.*expected lists of ids, 'input_ids'"):
        run(folder, tmp_path / "data")


# --- real text ------------------------------------------------------------------------------------------------------


def test_wikitext(tmp_path: pathlib.Path) -> None:
    """Half of the test text of WikiText-2, with a tokenizer trained on it."""
    path = pathlib.Path(os.environ.get("ALGOPERF_TEST_DATA", "")) / "wikitext2" / "test.txt.xz"
    if not path.is_file():
        pytest.skip("ALGOPERF_TEST_DATA names the folder with real data")
    text = lzma.decompress(path.read_bytes()).decode()
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "wikitext.txt").write_text(text[: len(text) // 2], encoding="utf-8")
    run(tmp_path / "raw", tmp_path / "data", tokenizer="train", vocab_size="1024")
    data = open_data(tmp_path / "data", sequence_length=128, vocab_size=1024, split_sizes={"validation": 100})
    train, validation = (
        data.open(split, batch_size=16, seed=0, placement=Placement()) for split in ("train", "validation")
    )
    assert train.num_examples > 1_500
    assert validation.num_examples == 100
    import tokenizers

    stored = tokenizers.Tokenizer.from_file(str(tmp_path / "data" / DATASET.name / "tokenizer.json"))
    batch = validation.batch(0)
    windows = np.concatenate([batch["inputs"], batch["targets"][:, -1:]], axis=1)
    found = stored.decode(windows.reshape(-1).tolist(), skip_special_tokens=False).split(byte_pairs.END_OF_TEXT)[:-1]
    assert len(found) > 5
    assert all(document in text for document in found)
