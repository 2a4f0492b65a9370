"""Parallel text on disk: one file per language, one sentence per line or as SGM, optionally gzipped or in tar archives.

Files are recognized by their names, which follow the shared tasks of WMT: `europarl-v7.de-en.de` beside
`europarl-v7.de-en.en`, `newstest2013-src.de.sgm` beside `newstest2013-ref.en.sgm`, `train.de.gz` beside `train.en.gz`.
"""

import contextlib
import dataclasses
import fnmatch
import gzip
import itertools
import pathlib
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO

from algoperf_jax.data import raw_files
from algoperf_jax.data.raw_files import UNPACKING_ERRORS, is_hidden
from algoperf_jax.errors import DataError

SOURCE, TARGET = "de", "en"

Pair = tuple[str, str]
"""A sentence in German and in English."""

_NAME = re.compile(r"(?P<corpus>.+?)(?:[.-](?P<side>src|ref)(?:[.-][A-Z])?)?\.(?P<language>de|en)(?:\.sgm)?(?:\.gz)?")
# Some files are not valid XML. Entities are not replaced, as in TensorFlow Datasets.
_SEGMENT = re.compile(r"<seg id=\"[^\"]*\">(.*)</seg>")


@dataclasses.dataclass(frozen=True)
class Document:
    """A file of sentences in one language.

    Attributes:
      path: the file, or the archive that contains it.
      name: path relative to the folder of raw files; an archive counts as a folder.
      member: its entry in the archive, or None.
    """

    path: pathlib.Path
    name: str
    member: tarfile.TarInfo | None = None

    def sentences(self) -> Iterator[str]:
        """The sentences in order, without line ends.

        Raises:
          DataError: the file is damaged or not UTF-8; names file and line.
        """
        is_sgm = ".sgm" in self.name
        try:
            with self._opened() as file:
                for number, line in enumerate(file, 1):
                    text = self._decoded(line, number)
                    if not is_sgm:
                        yield text
                    elif segment := _SEGMENT.match(text):
                        yield segment[1]
        except UNPACKING_ERRORS as error:
            raise DataError(f"{self} cannot be read ({error})", remedy="Download it again.") from error

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path} ({self.member.name})"

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Iterable[bytes]]:
        with contextlib.ExitStack() as stack:
            file: IO[bytes]
            if self.member is None:
                file = stack.enter_context(self.path.open("rb"))
            else:
                archive = stack.enter_context(tarfile.open(self.path))
                inside = archive.extractfile(self.member)
                assert inside is not None, "only files are listed"
                file = stack.enter_context(inside)
            yield stack.enter_context(gzip.open(file)) if self.name.endswith(".gz") else file

    def _decoded(self, line: bytes, number: int) -> str:
        try:
            text = line.rstrip(b"\r\n").decode()
        except UnicodeDecodeError as error:
            raise DataError(
                f"line {number} of {self} is not UTF-8",
                value=line[max(0, error.start - 10) : error.end + 10],
                remedy="Convert the file, for instance with: iconv -f LATIN1 -t UTF-8",
            ) from error
        return text.removeprefix("\ufeff") if number == 1 else text


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Two documents whose sentences are translations of each other, one by one.

    Attributes:
      name: the common part of both names.
      source: in German.
      target: in English.
    """

    name: str
    source: Document
    target: Document

    def pairs(self) -> Iterator[Pair]:
        """The pairs in order.

        Raises:
          DataError: a document is damaged, or the numbers of sentences differ; names both documents.
        """
        counts = [0, 0]
        for pair in itertools.zip_longest(self.source.sentences(), self.target.sentences()):
            counts = [count + (sentence is not None) for count, sentence in zip(counts, pair, strict=True)]
            if counts[0] == counts[1]:
                yield pair
        if counts[0] != counts[1]:
            raise DataError(
                f"numbers of sentences in {self.source} and {self.target}",
                value=tuple(counts),
                expected="the same number, line by line translations of each other",
            )


def documents(folder: pathlib.Path) -> list[Document]:
    """All documents below a folder, also in archives, sorted by name.

    Raises:
      DataError: an archive is damaged.
    """
    found = [Document(path, path.relative_to(folder).as_posix()) for path in raw_files.find_all(folder, "*")]
    for path in raw_files.archives(folder, ""):
        relative = path.relative_to(folder).as_posix()
        found += [Document(path, f"{relative}/{member.name}", member) for member in _members(path)]
    return sorted(
        (document for document in found if _NAME.fullmatch(document.name) is not None),
        key=lambda document: document.name,
    )


def _members(path: pathlib.Path) -> list[tarfile.TarInfo]:
    try:
        with tarfile.open(path) as archive:
            return [
                member
                for member in archive
                if member.isfile() and not any(map(is_hidden, pathlib.PurePosixPath(member.name).parts))
            ]
    except UNPACKING_ERRORS as error:
        raise DataError(f"{path} cannot be unpacked ({error})", remedy="Download it again.") from error


def corpora(found: Sequence[Document], patterns: Iterable[str]) -> list[Corpus]:
    """The corpora whose documents match one of the patterns (see `fnmatch`), in the order of the patterns.

    A corpus may have several documents in one language, for instance several references. A German source and an English
    reference are preferred, then the first by name. A pattern without a slash is compared with the last part of names,
    in all folders and archives. It finds each corpus once; an unpacked corpus is preferred to one in an archive.

    Raises:
      DataError: a matching document has no translation, or a pattern without a slash finds a corpus several times.
    """
    chosen: dict[str, Corpus] = {}
    for pattern in patterns:
        matching = _matching(found, pattern)
        if "/" not in pattern:
            matching = _once(matching)
        for corpus in matching:
            chosen.setdefault(corpus.name, corpus)
    return list(chosen.values())


def _matching(found: Sequence[Document], pattern: str) -> list[Corpus]:
    sides: dict[str, dict[str, Document]] = {}
    for document in sorted(found, key=_preference):
        if fnmatch.fnmatchcase(document.name if "/" in pattern else document.name.rpartition("/")[2], pattern):
            parts = _parts(document)
            sides.setdefault(parts["corpus"], {}).setdefault(parts["language"], document)
    for name, languages in sides.items():
        if alone := {SOURCE, TARGET} - set(languages):
            raise DataError(
                f"{next(iter(languages.values()))} has no translation next to it",
                expected=f"{name}.{alone.pop()}, gzipped or not",
            )
    return [Corpus(name, languages[SOURCE], languages[TARGET]) for name, languages in sorted(sides.items())]


def _once(matching: Sequence[Corpus]) -> list[Corpus]:
    """Drops corpora in archives that exist unpacked as well."""
    by_name: dict[str, list[Corpus]] = {}
    for corpus in matching:
        by_name.setdefault(corpus.name.rpartition("/")[2], []).append(corpus)
    chosen = []
    for name, candidates in by_name.items():
        unpacked = [corpus for corpus in candidates if corpus.source.member is None] or candidates
        if len(unpacked) > 1:
            raise DataError(
                f"the corpus {name} exists several times",
                value=[corpus.name for corpus in unpacked],
                remedy="Name the documents of each split, for instance with --option=train='FOLDER/train.*'.",
            )
        chosen += unpacked
    return chosen


def _parts(document: Document) -> Mapping[str, str]:
    match = _NAME.fullmatch(document.name)
    assert match is not None, "only such documents are listed"
    return match.groupdict()


def _preference(document: Document) -> tuple[bool, str]:
    parts = _parts(document)
    return parts["side"] not in (None, "src" if parts["language"] == SOURCE else "ref"), document.name
