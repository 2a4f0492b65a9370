"""Small raw data sets of text and of token ids, in every form that the preparation takes."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from workloads.finewebedu_lm import byte_pairs
from workloads.finewebedu_lm.byte_pairs import END_OF_TEXT, Tokenizer

VOCABULARY = 300
OPTIONS = {"vocab_size": str(VOCABULARY)}
TEXTS = [
    "The cat sat on the mat.\nThe mat lay on the floor.",
    "Élan, naïve, 東京, 🙂: not all bytes are letters.",
    f"Here {END_OF_TEXT} stands in a text.",
    *(f"Document {number} says that the number {number} follows {number - 1}.\n" for number in range(37)),
]


def tokenizer(vocab_size: int = VOCABULARY) -> Tokenizer:
    return byte_pairs.train(TEXTS, vocab_size=vocab_size)


def ids() -> list[list[int]]:
    """The tokens of each of `TEXTS`."""
    encode = tokenizer().encode
    return [encode([text])[0].tolist() for text in TEXTS]


def write_tokenizer(folder: pathlib.Path, *, vocab_size: int = VOCABULARY) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(tokenizer(vocab_size).content, encoding="utf-8")
    return folder


def write_vocabulary(folder: pathlib.Path) -> pathlib.Path:
    """The same tokenizer in the two files that GPT-2 was published with."""
    folder.mkdir(parents=True, exist_ok=True)
    content = json.loads(tokenizer().content)
    model = content["model"]
    vocabulary = {**model["vocab"], END_OF_TEXT: VOCABULARY - 1}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    merges = ["#version: 0.2", *(" ".join(pair) for pair in model["merges"])]
    (folder / "merges.txt").write_text("\n".join(merges) + "\n", encoding="utf-8")
    return folder


def write_json_lines(path: pathlib.Path, texts: Sequence[str] = TEXTS) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps({"id": number, "text": text}) for number, text in enumerate(texts))
    path.write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    return path


def write_parquet(path: pathlib.Path, columns: Mapping[str, Sequence[Any]]) -> pathlib.Path:
    import pyarrow
    import pyarrow.parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.table({**columns}), path, row_group_size=7)
    return path


def write_saved(
    folder: pathlib.Path, splits: Mapping[str, Sequence[Sequence[Sequence[int]]]], *, rows_at_a_time: int = 3
) -> pathlib.Path:
    """What `save_to_disk` writes: split -> the documents of each of its files."""
    import pyarrow

    schema = pyarrow.schema([("input_ids", pyarrow.list_(pyarrow.int64()))])
    for split, files in splits.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        names = [f"data-{number:05d}-of-{len(files):05d}.arrow" for number in range(len(files))]
        for name, documents in zip(names, files, strict=True):
            with (
                pyarrow.OSFile(str(folder / split / name), "wb") as file,
                pyarrow.ipc.new_stream(file, schema) as stream,
            ):
                stream.write_table(
                    pyarrow.table({"input_ids": [list(document) for document in documents]}, schema=schema),
                    max_chunksize=rows_at_a_time,
                )
        state = {"_data_files": [{"filename": name} for name in names], "_format_columns": None, "_split": None}
        (folder / split / "state.json").write_text(json.dumps(state), encoding="utf-8")
        (folder / split / "dataset_info.json").write_text("{}", encoding="utf-8")
    return folder
