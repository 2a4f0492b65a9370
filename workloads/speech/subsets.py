"""Finds the subsets of LibriSpeech in a folder: unpacked, in archives, or as the reference prepared them.

- Unpacked: `<subset>/<speaker>/<chapter>/` with `*.flac` and `<speaker>-<chapter>.trans.txt`, in any subfolder.
- Archives: `<subset>.tar.gz` as https://www.openslr.org/12 has them, or `LibriSpeech*.tar`, with several subsets and
  with any suffix of `raw_files.ARCHIVE_SUFFIXES`. They are read in place; what is unpacked is not read from them too.
- Prepared by the reference: `<subset>.csv`, whose second column has the names of the utterances, and the folder
  `<subset>` with `<name>_audio.npy` (samples) and `<name>_targets.npy` (token ids).
"""

import csv
import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from algoperf_jax.data import raw_files
from workloads.speech.recordings import BadAudioError, Samples, load_array

SUBSETS = (
    "train-clean-100",
    "train-clean-360",
    "train-other-500",
    "dev-clean",
    "dev-other",
    "test-clean",
    "test-other",
)
_TRANSCRIPTS, _AUDIO = ".trans.txt", ".flac"

Transcript = str | np.ndarray
"""Text, or token ids."""
Decode = Callable[[bytes], Samples]
"""Decodes a FLAC file; raises `BadAudioError`."""


class Recording(NamedTuple):
    """The audio of an utterance.

    Attributes:
      name: of the utterance, `<speaker>-<chapter>-<number>`.
      place: where it is, for messages.
      samples: reads them; raises `BadAudioError`.
    """

    name: str
    place: str
    samples: Callable[[], Samples]


class Subset(Protocol):
    """A part of LibriSpeech in one of its forms."""

    @property
    def name(self) -> str: ...

    @property
    def place(self) -> str:
        """Where it was found, for messages."""
        ...

    @property
    def has_text(self) -> bool:
        """Whether transcripts are text; otherwise token ids."""
        ...

    def transcripts(self, problems: list[str]) -> dict[str, Transcript | None]:
        """The transcript of each utterance; those that cannot be used are None, and reported in `problems`."""
        ...

    def recordings(self) -> Iterator[Recording]:
        """All audio, in the order in which it is stored."""
        ...


def sort_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts utterances by speaker, chapter and number, which are compared as numbers."""
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in name.split("-"))


def find(folder: pathlib.Path, names: Sequence[str], decode: Decode) -> dict[str, Subset]:
    """The subsets with these names that are in a folder."""
    found: dict[str, Subset] = {}
    for path in raw_files.find_all(folder, *(f"{name}.csv" for name in names)):
        if (path.parent / path.stem).is_dir():
            found.setdefault(path.stem, ArraySubset(path.stem, path))
    unpacked: dict[str, list[pathlib.Path]] = {}
    for path in raw_files.find_all(folder, f"*{_AUDIO}", f"*{_TRANSCRIPTS}"):
        unpacked.setdefault(_subset_of(path.relative_to(folder.parent), names), []).append(path)
    for name in names:
        if name in unpacked:
            found.setdefault(name, FolderSubset(name, folder, tuple(unpacked[name]), decode))
    missing = [name for name in names if name not in found]
    common = raw_files.archives(folder, "LibriSpeech")
    for name in missing:
        of_subset = tuple(path for path in raw_files.archives(folder, name) if path.name.startswith(f"{name}.")) or (
            tuple(path for path in common if name in _subsets_in(path))
        )
        if of_subset:
            found[name] = ArchiveSubset(name, of_subset, decode)
    return found


def _subset_of(path: pathlib.PurePath, names: Sequence[str]) -> str:
    """The subset that a file belongs to: the nearest folder around it that is named like one; "" if there is none."""
    return next((part for part in reversed(path.parts[:-1]) if part in names), "")


@functools.lru_cache(maxsize=8)
def _subsets_in(archive: pathlib.Path) -> frozenset[str]:
    names = (name for name, _ in raw_files.members(archive, lambda name: name.endswith(_TRANSCRIPTS)))
    return frozenset(_subset_of(pathlib.PurePath(name), SUBSETS) for name in names)


@dataclasses.dataclass(frozen=True)
class FolderSubset:
    """An unpacked subset."""

    name: str
    folder: pathlib.Path
    files: tuple[pathlib.Path, ...] = dataclasses.field(repr=False)
    decode: Decode
    has_text: bool = True

    @property
    def place(self) -> str:
        """See `Subset`."""
        return str(self.folder)

    def transcripts(self, problems: list[str]) -> dict[str, Transcript | None]:
        """See `Subset`."""
        files = (path for path in self.files if path.name.endswith(_TRANSCRIPTS))
        return _transcripts(((str(path), path.read_bytes()) for path in files), problems)

    def recordings(self) -> Iterator[Recording]:
        """See `Subset`."""
        for path in self.files:
            if path.name.endswith(_AUDIO):
                yield Recording(path.stem, str(path), functools.partial(self._samples, path))

    def _samples(self, path: pathlib.Path) -> Samples:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BadAudioError(f"cannot be read ({error})") from error
        return self.decode(content)


@dataclasses.dataclass(frozen=True)
class ArchiveSubset:
    """A subset in archives, which are read from their begin to their end."""

    name: str
    archives: tuple[pathlib.Path, ...]
    decode: Decode
    has_text: bool = True

    @property
    def place(self) -> str:
        """See `Subset`."""
        return ", ".join(map(str, self.archives))

    def transcripts(self, problems: list[str]) -> dict[str, Transcript | None]:
        """See `Subset`."""
        return _transcripts(self._members(_TRANSCRIPTS), problems)

    def recordings(self) -> Iterator[Recording]:
        """See `Subset`."""
        for place, content in self._members(_AUDIO):
            name = pathlib.PurePath(place).name.removesuffix(_AUDIO)
            yield Recording(name, place, functools.partial(self.decode, content))

    def _members(self, suffix: str) -> Iterator[tuple[str, bytes]]:
        def is_wanted(name: str) -> bool:
            return name.endswith(suffix) and _subset_of(pathlib.PurePath(name), SUBSETS) in ("", self.name)

        for archive in self.archives:
            for name, content in raw_files.members(archive, is_wanted):
                yield f"{archive}/{name}", content


@dataclasses.dataclass(frozen=True)
class ArraySubset:
    """A subset as the reference prepared it; `csv` lists its utterances."""

    name: str
    csv: pathlib.Path
    has_text: bool = False

    @property
    def place(self) -> str:
        """See `Subset`."""
        return str(self.csv)

    def transcripts(self, problems: list[str]) -> dict[str, Transcript | None]:
        """See `Subset`."""
        found: dict[str, Transcript | None] = {}
        for number, row in enumerate(self._rows(), 2):
            if len(row) < 2 or not row[1]:
                problems.append(f"line {number} of {self.csv} names no utterance")
                continue
            path = self._file(row[1], "targets")
            found[row[1]] = None
            try:
                ids = np.load(path, allow_pickle=False)
            except (OSError, ValueError, EOFError) as error:
                problems.append(f"{path} cannot be read ({error})")
                continue
            if ids.ndim != 1 or ids.dtype.kind not in "iu" or len(ids) < 2:
                problems.append(f"{path} has no token ids")
                continue
            found[row[1]] = ids
        return found

    def recordings(self) -> Iterator[Recording]:
        """See `Subset`."""
        for row in self._rows():
            if len(row) > 1 and row[1] and (path := self._file(row[1], "audio")).is_file():
                yield Recording(row[1], str(path), functools.partial(load_array, path))

    def _rows(self) -> list[list[str]]:
        """The lines after the heading."""
        with self.csv.open(encoding="utf-8", newline="") as file:
            return list(csv.reader(file))[1:]

    def _file(self, name: str, kind: str) -> pathlib.Path:
        return self.csv.with_suffix("") / f"{name}_{kind}.npy"


def _transcripts(files: Iterator[tuple[str, bytes]], problems: list[str]) -> dict[str, Transcript | None]:
    """Reads files with lines `<name> <TEXT>`."""
    found: dict[str, Transcript | None] = {}
    for place, content in files:
        try:
            lines = content.decode("utf-8").splitlines()
        except UnicodeDecodeError as error:
            problems.append(f"{place} is not UTF-8 ({error.reason} at byte {error.start})")
            continue
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            name, *words = line.split()
            if not words:
                problems.append(f"line {number} of {place}: the transcript of {name} is empty")
            elif name in found:
                problems.append(f"line {number} of {place}: a second transcript of {name}")
                continue
            found[name] = " ".join(words) or None
    return found
