"""From LibriSpeech to prepared splits: every form gives the same, and what is bad is left out and named."""

import logging
import lzma
import os
import pathlib
import re
import sys
import tarfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from algoperf_jax import prepare as command
from algoperf_jax.data import prepared
from algoperf_jax.data.prepared import Prepared
from algoperf_jax.errors import ConfigError, DataError
from tests.workloads.speech import libri
from tests.workloads.speech.libri import OPTIONS, VOCABULARY, flac
from workloads import sentence_pieces
from workloads.sentence_pieces import SentencePieceTokenizer
from workloads.speech import prepare
from workloads.speech.prepare import DATASET, DOWNLOADS, convert, index_of
from workloads.speech.subsets import sort_key

NOISE = np.random.default_rng(0).integers(-3000, 3000, 20_000).astype(np.int16)


def run(folder: pathlib.Path, data_dir: pathlib.Path, **options: str) -> Prepared:
    command.prepare("librispeech", data_dir, raw=folder, force=False, options={**OPTIONS, **options})
    return prepared.load(data_dir, DATASET)


def transcribed(found: Prepared, split: str) -> list[tuple[str, np.ndarray, str]]:
    """Name, samples and text of each utterance, in the order of the index."""
    pieces = SentencePieceTokenizer(found.columns("tokenizer")["model"].tobytes())
    index, records = found.columns(index_of(split)), found.records(split)
    encoded = np.split(index["targets"], np.cumsum(index["targets_lengths"])[:-1])
    utterances = []
    for record, num_samples, ids in zip(index["record"], index["num_samples"], encoded, strict=True):
        columns = records.read(int(record))
        assert columns["samples"].dtype == np.int16
        assert len(columns["samples"]) == num_samples
        assert ids[-1] == sentence_pieces.END_ID
        utterances.append((columns["name"].tobytes().decode(), columns["samples"], pieces.decode(ids.tolist())))
    return utterances


def assert_all_there(found: Prepared) -> None:
    for split in libri.SPLITS:
        expected = libri.of_split(split)
        utterances = transcribed(found, split)
        assert [name for name, _, _ in utterances] == [utterance.name for utterance in expected]
        for (_, samples, text), utterance in zip(utterances, expected, strict=True):
            np.testing.assert_array_equal(samples, utterance.samples)
            assert text == utterance.text


@pytest.mark.parametrize(
    "write",
    [
        libri.write_folders,
        libri.write_archives,
        lambda folder: libri.write_archives(folder, ".tar"),
        libri.write_one_archive,
        libri.write_arrays,
    ],
    ids=["folders", "tar.gz", "tar", "one tar", "prepared by the reference"],
)
def test_every_form_gives_the_same(tmp_path: pathlib.Path, write: Callable[[pathlib.Path], pathlib.Path]) -> None:
    found = run(write(tmp_path / "raw"), tmp_path / "data")
    assert_all_there(found)
    assert found.columns("tokenizer")["model"].tobytes() == libri.tokenizer().model


def test_what_is_unpacked_is_not_read_from_the_archive_too(tmp_path: pathlib.Path) -> None:
    folder = libri.write_archives(tmp_path / "raw")
    with tarfile.open(folder / "dev-clean.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    (folder / "dev-clean.tar.gz").write_bytes(b"")
    assert_all_there(run(folder, tmp_path / "data"))


def test_the_manifest_has_the_tokenizer_and_all_counts(tmp_path: pathlib.Path) -> None:
    found = run(libri.write_archives(tmp_path / "raw"), tmp_path / "data")
    facts = found.describe()["facts"]
    assert facts["tokenizer"]["sha256"] == libri.tokenizer().sha256
    assert facts["tokenizer"]["from"] == "trained on the transcripts of train-clean-100"
    assert facts["problems"] == 0
    assert {subset: count for of_split in facts["utterances"].values() for subset, count in of_split.items()} == {
        subset: {
            "read": count,
            "kept": count,
            "over 256 characters": 0,
            "over 20 seconds": 0,
            "over 256 tokens": 0,
            "unusable": 0,
        }
        for subset, count in libri.COUNTS.items()
    }


def test_a_tokenizer_in_the_folder_is_used(tmp_path: pathlib.Path) -> None:
    folder = libri.write_archives(tmp_path / "raw")
    model = sentence_pieces.train([[utterance.text] for utterance in libri.of_split("train")], vocab_size=33)
    (folder / "spm_model.vocab").write_bytes(model)
    found = run(folder, tmp_path / "data", vocab_size="33")
    assert found.columns("tokenizer")["model"].tobytes() == model
    with pytest.raises(DataError, match=r"spm_model.vocab: found 33; expected 36 pieces.*vocab_size=33"):
        convert(folder, **OPTIONS)
    (folder / "spm_model.vocab").write_bytes(model[:100])
    with pytest.raises(DataError, match=r"spm_model\.vocab is not a SentencePiece model"):
        convert(folder, **OPTIONS)


def test_token_ids_need_their_tokenizer(tmp_path: pathlib.Path) -> None:
    folder = libri.write_arrays(tmp_path / "raw")
    (folder / "spm_model.vocab").unlink()
    with pytest.raises(DataError, match=r"no tokenizer in .*; expected spm_model.vocab, the model that made the token"):
        convert(folder, **OPTIONS)


def test_too_long_utterances_are_left_out_and_counted(tmp_path: pathlib.Path, caplog: Any) -> None:
    folder = libri.write_folders(tmp_path / "raw")
    chapter = next((folder / "LibriSpeech" / "dev-other").glob("*/*"))
    (transcripts,) = chapter.glob("*.trans.txt")
    name = transcripts.name.removesuffix(".trans.txt")
    texts = {"2000": "7" * 256, "2001": "7" * 257, "2002": "B", "2003": "B"}
    with transcripts.open("a") as file:
        file.writelines(f"{name}-{number} {text}\n" for number, text in texts.items())
    lengths = {"2000": 1000, "2001": 1000, "2002": 320_000, "2003": 320_001}
    for number, length in lengths.items():
        (chapter / f"{name}-{number}.flac").write_bytes(flac(np.zeros(length, np.int16)))
    with caplog.at_level(logging.INFO):
        found = run(folder, tmp_path / "data")
    count = found.facts["utterances"]["validation"]["dev-other"]
    assert (count["read"], count["kept"]) == (7, 5)
    assert (count["over 256 characters"], count["over 20 seconds"], count["unusable"]) == (1, 1, 0)
    assert "dev-other: 7 utterances, 5 kept, left out: 1 over 256 characters, 1 over 20 seconds" in caplog.text
    assert "validation does not have the 5,348 utterances of LibriSpeech" in caplog.text
    kept = {utterance[0].rpartition("-")[2] for utterance in transcribed(found, "validation")}
    assert kept >= {"2000", "2002"}
    assert not kept & {"2001", "2003"}


def test_transcripts_of_too_many_tokens(tmp_path: pathlib.Path) -> None:
    folder = libri.write_folders(tmp_path / "raw")
    chapter = next((folder / "LibriSpeech" / "test-clean").glob("*/*"))
    (transcripts,) = chapter.glob("*.trans.txt")
    name = transcripts.name.removesuffix(".trans.txt")
    with transcripts.open("a") as file:
        file.write(f"{name}-2000 {'A ' * 128}\n")  # The end and each space are tokens.
    (chapter / f"{name}-2000.flac").write_bytes(flac(NOISE))
    assert run(folder, tmp_path / "data").facts["utterances"]["test"]["test-clean"]["over 256 tokens"] == 1


# --- what cannot be used --------------------------------------------------------------------------------------------


def damaged_flac(content: bytes) -> bytes:
    """With another sample: a frame is exchanged for one of other audio, whose own checksum is right."""
    other = flac(NOISE[::-1].copy())
    return content[:42] + other[42:]


DAMAGES: dict[str, tuple[bytes, str]] = {
    "another rate": (flac(NOISE, rate=8_000), "has 8,000 samples per second, not 16,000"),
    "stereo": (flac(np.stack([NOISE, NOISE], 1)), "has 2 channels, not 1"),
    "24 bits": (flac(NOISE, subtype="PCM_24"), "has 24 bits per sample, not 16"),
    "cut short": (flac(NOISE)[:-4000], "is (cut short|damaged)"),
    "cut in its header": (flac(NOISE)[:30], "is not a FLAC file"),
    "another format": (b"RIFF" + bytes(100), "is not a FLAC file"),
    "empty": (b"", "is empty"),
    "wrong checksum": (damaged_flac(flac(NOISE)), "is damaged: the checksum of its samples is wrong"),
    "too short": (flac(NOISE[:400]), "has 400 samples, fewer than the 401 of a frame"),
}


@pytest.mark.parametrize("form", ["folders", "archives"])
def test_damaged_audio_is_left_out_and_listed_at_the_end(tmp_path: pathlib.Path, caplog: Any, form: str) -> None:
    contents = dict(libri.files("train-clean-100"))
    audio = [name for name in contents if name.endswith(".flac")]
    spoilt = dict(zip(DAMAGES, audio, strict=False))
    for damage, name in spoilt.items():
        contents[name] = DAMAGES[damage][0]
    folder = libri.write_folders(tmp_path / "raw") if form == "folders" else libri.write_archives(tmp_path / "raw")
    if form == "folders":
        for name in spoilt.values():
            (folder / name).write_bytes(contents[name])
    else:
        libri.write_archive(folder / "train-clean-100.tar.gz", contents)
    with caplog.at_level(logging.WARNING):
        found = run(folder, tmp_path / "data")
    last = caplog.messages[-1]
    assert f"{len(DAMAGES)} problems; what they concern was left out" in last
    for damage, name in spoilt.items():
        (line,) = [line for line in last.splitlines() if name in line]
        assert re.search(f"{name} {DAMAGES[damage][1]}", line), line
    count = found.facts["utterances"]["train"]["train-clean-100"]
    assert (count["read"], count["unusable"], count["kept"]) == (16, len(DAMAGES), 16 - len(DAMAGES))
    bad = {pathlib.Path(name).stem for name in spoilt.values()}
    kept = [utterance.name for utterance in libri.of_split("train") if utterance.name not in bad]
    assert [name for name, _, _ in transcribed(found, "train")] == kept


def test_transcripts_without_audio_and_the_reverse(tmp_path: pathlib.Path, caplog: Any) -> None:
    folder = libri.write_folders(tmp_path / "raw")
    first, second, third, *_ = sorted((folder / "LibriSpeech" / "train-clean-100").rglob("*.flac"))
    first.unlink()
    stray = second.with_name("9-1000-4000.flac")
    stray.write_bytes(second.read_bytes())
    transcripts = next(third.parent.glob("*.trans.txt"))
    lines = [
        line if third.stem not in line else f"{third.stem} \n" for line in transcripts.read_text().splitlines(True)
    ]
    transcripts.write_text("\n" + "".join(lines) + lines[0])
    bad = next((folder / "LibriSpeech" / "train-other-500").rglob("*.trans.txt"))
    bad.write_bytes(b"1-2-0003 CAF\xc9\n")
    with caplog.at_level(logging.WARNING):
        found = run(folder, tmp_path / "data")
    listed = caplog.messages[-1].splitlines()[1:]
    assert f"  train-clean-100/{first.stem}: a transcript without audio" in listed
    assert f"  {stray}: audio without a transcript" in listed
    assert any(f"of {transcripts}: the transcript of {third.stem} is empty" in line for line in listed)
    assert any(f"of {transcripts}: a second transcript of " in line for line in listed)
    assert any(f"{bad} is not UTF-8 (invalid" in line for line in listed)
    names = [name for name, _, _ in transcribed(found, "train")]
    assert not {first.stem, stray.stem, third.stem} & set(names)
    assert second.stem in names


def test_damaged_arrays_of_the_reference(tmp_path: pathlib.Path, caplog: Any) -> None:
    folder = libri.write_arrays(tmp_path / "raw")
    names = [utterance.name for utterance in libri.utterances("train-clean-100")]
    place = folder / "train-clean-100"
    np.save(place / f"{names[0]}_audio.npy", np.zeros(1000, np.float64))
    np.save(place / f"{names[1]}_audio.npy", np.full(1000, 40_000))
    (place / f"{names[2]}_audio.npy").write_bytes(b"\x93NUMPY")
    (place / f"{names[3]}_audio.npy").unlink()
    (place / f"{names[4]}_targets.npy").unlink()
    np.save(place / f"{names[5]}_targets.npy", np.array([5, VOCABULARY, 2]))
    np.save(place / f"{names[6]}_targets.npy", np.array([2.0]))
    with (folder / "train-clean-100.csv").open("a") as file:
        file.write("17\n")
    with caplog.at_level(logging.WARNING):
        found = run(folder, tmp_path / "data")
    listed = caplog.messages[-1]
    for message in (
        f"{names[0]}_audio.npy has numbers of the type float64",
        f"{names[1]}_audio.npy has samples of more than 16 bits",
        f"{names[2]}_audio.npy cannot be read",
        f"train-clean-100/{names[3]}: a transcript without audio",
        f"{names[4]}_targets.npy cannot be read",
        f"train-clean-100/{names[5]}: token ids from 2 to {VOCABULARY}, ending with 2; those of",
        f"{names[6]}_targets.npy has no token ids",
        "line 18 of",
    ):
        assert message in listed
    assert [name for name, _, _ in transcribed(found, "train")][:9] == names[7:]


def test_a_missing_subset_is_listed_and_the_others_are_kept(tmp_path: pathlib.Path, caplog: Any) -> None:
    folder = libri.write_archives(tmp_path / "raw")
    (folder / "train-other-500.tar.gz").unlink()
    with caplog.at_level(logging.WARNING):
        found = run(folder, tmp_path / "data")
    assert "the subset train-other-500 is missing" in caplog.messages[-1]
    assert found.num_examples("train") == libri.COUNTS["train-clean-100"] + libri.COUNTS["train-clean-360"]


def test_the_subsets_of_a_split_can_be_named(tmp_path: pathlib.Path) -> None:
    folder = libri.write_archives(tmp_path / "raw")
    found = run(folder, tmp_path / "data", train="train-clean-360,train-clean-100", test="dev-clean")
    assert found.num_examples("train") == libri.COUNTS["train-clean-100"] + libri.COUNTS["train-clean-360"]
    assert list(found.facts["utterances"]["test"]) == ["dev-clean"]
    assert transcribed(found, "train")[0][0] == libri.utterances("train-clean-360")[0].name


@pytest.mark.parametrize(
    ("without", "options", "message"),
    [
        ("test-clean", {}, r"no test-clean for the split test in .*openslr.*--option=test=SUBSET"),
        ("dev-other", {"validation": "dev-other"}, "no dev-other for the split validation"),
    ],
)
def test_a_split_without_data(tmp_path: pathlib.Path, without: str, options: dict[str, str], message: str) -> None:
    folder = libri.write_archives(tmp_path / "raw")
    (folder / f"{without}.tar.gz").unlink()
    with pytest.raises(DataError, match=message):
        convert(folder, **OPTIONS, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocab_size": "3"}, "--option vocab_size: found '3'; expected a number from 4 to 65,536"),
        ({"train": "train-clean-10"}, "--option train: found 'train-clean-10'. Did you mean 'train-clean-100'?"),
    ],
)
def test_wrong_options(tmp_path: pathlib.Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        convert(tmp_path, **options)
    assert message in str(error.value)


def test_an_archive_that_is_cut_short(tmp_path: pathlib.Path) -> None:
    folder = libri.write_archives(tmp_path / "raw")
    path = folder / "dev-clean.tar.gz"
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(DataError, match=r"dev-clean.tar.gz cannot be unpacked .*Download it again"):
        run(folder, tmp_path / "data")
    assert not (tmp_path / "data" / "librispeech").exists()


def test_a_split_of_which_nothing_is_left(tmp_path: pathlib.Path) -> None:
    folder = libri.write_folders(tmp_path / "raw")
    for path in (folder / "LibriSpeech" / "test-clean").rglob("*.flac"):
        path.write_bytes(b"")
    message = r"no utterance is left in the split test: found 'test-clean: 5 utterances, 0 kept, left out: 5 unusable'"
    with pytest.raises(DataError, match=f"{message}.*The first that cannot be used: .*flac is empty"):
        run(folder, tmp_path / "data")


def test_raw_files_are_never_replaced(tmp_path: pathlib.Path) -> None:
    """The reference calls its own folder like the data set that is made from it."""
    folder = libri.write_arrays(tmp_path / "librispeech")
    before = sorted(folder.rglob("*"))
    with pytest.raises(DataError, match=r"librispeech is not a prepared data set, .*another --data_dir"):
        run(folder, tmp_path)
    assert sorted(folder.rglob("*")) == before


def test_downloads_are_the_archives_that_are_read() -> None:
    names = {download.filename.removesuffix(".tar.gz") for download in DOWNLOADS}
    assert names == {subset for of_split in libri.SPLITS.values() for subset in of_split}


@pytest.mark.slow
def test_real_utterances(tmp_path: pathlib.Path, caplog: Any) -> None:
    """The tokenizer is trained on all transcripts of train-clean-100."""
    folder = os.environ.get("ALGOPERF_TEST_DATA")
    if not folder:
        pytest.skip("ALGOPERF_TEST_DATA does not name the folder with librispeech/LibriSpeech.tar")
    real = pathlib.Path(folder) / "librispeech"
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "LibriSpeech.tar").symlink_to(real / "LibriSpeech.tar")
    lines = lzma.decompress((real / "train-clean-100.transcripts.txt.xz").read_bytes()).decode().splitlines()
    texts = dict(line.split(" ", 1) for line in lines)
    assert len(texts) == 28_539
    model = sentence_pieces.train(((texts[name],) for name in sorted(texts, key=sort_key)), vocab_size=1024)
    (raw / "spm_model.vocab").write_bytes(model)
    chosen = {"train": "train-clean-100", "validation": "test-other", "test": "test-other"}
    with caplog.at_level(logging.WARNING):
        command.prepare("librispeech", tmp_path / "data", raw=raw, force=False, options=chosen)
    assert "problems" not in caplog.text
    found = prepared.load(tmp_path / "data", DATASET)
    counts = found.facts["utterances"]
    for split, subset, read, too_long in (("train", "train-clean-100", 110, 7), ("test", "test-other", 70, 4)):
        count = counts[split][subset]
        assert (count["read"], count["over 256 characters"], count["kept"]) == (read, too_long, read - too_long)
    train, test = transcribed(found, "train"), transcribed(found, "test")
    for name, samples, text in train:
        assert text == texts[name]
        assert 401 <= len(samples) <= 320_000
        assert len(text) <= 256
    assert [name for name, _, _ in train] == sorted((name for name, _, _ in train), key=sort_key)
    minutes = sum(len(samples) for _, samples, _ in train + test) / 16_000 / 60
    assert minutes == pytest.approx(29.13, abs=0.01)


def test_flac_needs_soundfile(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = libri.write_archives(tmp_path / "raw")
    prepare._soundfile.cache_clear()
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(DataError, match=r"comes as FLAC, and soundfile is not installed. Run: pip install"):
        convert(folder, **OPTIONS)
