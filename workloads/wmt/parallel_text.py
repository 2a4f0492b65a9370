"""Parallel text on disk: a file for each language with a sentence per line, gzipped, as SGM, in tar archives or not.

Files are told apart by their names, as the shared tasks of WMT write them: `europarl-v7.de-en.de` beside
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
# Badly formed as XML in places, so it is not read as such. Entities stay as they are: TensorFlow Datasets leaves them.
_SEGMENT = re.compile(r"<seg id=\"[^\"]*\">(.*)</seg>")


@dataclasses.dataclass(frozen=True)
class Document:
    """A file of sentences in one language.

    Attributes:
      path: the file, or the archive that it is in.
      name: relative to the folder of raw files, below the name of the archive.
      member: where it is in the archive, or None.
    """

    path: pathlib.Path
    name: str
    member: tarfile.TarInfo | None = None

    def sentences(self) -> Iterator[str]:
        """The sentences in order, without ends of lines.

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
      name: what the names of both have in common.
      source: in German.
      target: in English.
    """

    name: str
    source: Document
    target: Document

    def pairs(self) -> Iterator[Pair]:
        """The pairs in order.

        Raises:
          DataError: a document is damaged, or they do not have the same number of sentences; names both.
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
    """All documents below a folder, in it and in its archives, in the order of their names.

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
    """The pairs of documents whose names match a pattern of `fnmatch`, those of the first pattern first.

    Of several documents of a corpus in one language, such as several references, the source of German and the
    reference of English is taken, and of those the first by name. A pattern without a slash takes documents from all
    folders and archives, but no corpus twice: one that is in an archive and unpacked too is taken unpacked.

    Raises:
      DataError: a document that matches has no translation beside it, or a corpus is there several times.
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
                f"{next(iter(languages.values()))} has no translation beside it",
                expected=f"{name}.{alone.pop()}, gzipped or not",
            )
    return [Corpus(name, languages[SOURCE], languages[TARGET]) for name, languages in sorted(sides.items())]


def _once(matching: Sequence[Corpus]) -> list[Corpus]:
    """Without those in archives that are there unpacked as well."""
    by_name: dict[str, list[Corpus]] = {}
    for corpus in matching:
        by_name.setdefault(corpus.name.rpartition("/")[2], []).append(corpus)
    chosen = []
    for name, candidates in by_name.items():
        unpacked = [corpus for corpus in candidates if corpus.source.member is None] or candidates
        if len(unpacked) > 1:
            raise DataError(
                f"the corpus {name} is there several times",
                value=[corpus.name for corpus in unpacked],
                remedy="Name the files of each split, for instance with --option train='FOLDER/train.*'.",
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
