"""Downloads large files: resumes after interruptions, verifies checksums, and leaves a file complete or not at all."""

import contextlib
import dataclasses
import hashlib
import http.client
import json
import pathlib
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from algoperf_jax.errors import DataError

_CHUNK_BYTES = 1 << 20
_TIMEOUT_SEC = 30.0
_TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclasses.dataclass(frozen=True)
class Download:
    """A file on a server.

    Attributes:
      url: address of the file.
      filename: name of the file on disk.
      num_bytes: size of the file, or None if unknown.
      checksum: `<algorithm>:<hexadecimal digest>` in lower case, with an algorithm of hashlib (`sha256:...`,
        `md5:...`).
    """

    url: str
    filename: str
    num_bytes: int | None
    checksum: str


class Report(Protocol):
    """Receives a download's progress in bytes; `total` is None while unknown, `note` is a message to print."""

    def __call__(self, done: int, total: int | None, note: str = "") -> None: ...


def fetch(
    download: Download,
    folder: pathlib.Path,
    *,
    report: Report,
    delays: Sequence[float] = (1.0, 2.0, 4.0, 8.0),
) -> pathlib.Path:
    """Downloads a file unless it is already there and intact.

    Bytes go to `<filename>.part`, which gets its final name once its checksum is verified. After a broken connection,
    the download resumes with an HTTP range request, in this call or a later one; it starts over if the server cannot
    resume or has a different file than before.

    Args:
      download: the file to download.
      folder: destination; created if missing.
      report: receives the progress.
      delays: seconds to wait before each new attempt; an attempt that receives bytes restarts the sequence.

    Returns:
      The path of the complete file.

    Raises:
      DataError: no network, an HTTP error, a full disk, or a file of the wrong size or checksum.
    """
    path = folder / download.filename
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            if _checksum(path, download) == download.checksum:
                report(path.stat().st_size, path.stat().st_size, "already downloaded")
                return path
            path.unlink()
        part = _Part(path.with_name(f"{path.name}.part"))
        resumed = part.size() > 0
        _complete(part, download, report, delays)
        found = _checksum(part.path, download)
        if found != download.checksum and resumed:
            # The bytes on disk may belong to an older file.
            part.remove()
            report(0, download.num_bytes, "checksum mismatch after resuming, starting over")
            _complete(part, download, report, delays)
            found = _checksum(part.path, download)
        if found != download.checksum:
            part.remove()
            raise DataError(
                f"checksum of {download.url}",
                value=found,
                expected=download.checksum,
                remedy=f"The file was removed; try again. {_by_hand(download)}",
            )
        part.path.rename(path)
        part.remove()
        return path
    except OSError as error:
        raise DataError(
            f"cannot write {path} ({error})", remedy="Fix this and run the same command again: it resumes."
        ) from error


class _Part:
    """An unfinished file, with a second file for what the server said about it at the start."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self._facts = path.with_name(f"{path.name}.json")

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def facts(self) -> dict[str, Any]:
        """`total` and `validator`, if known."""
        with contextlib.suppress(OSError, ValueError):
            facts = json.loads(self._facts.read_text(encoding="utf-8"))
            if isinstance(facts, dict):
                return facts
        return {}

    def begin(self, *, total: int | None, validator: str | None) -> None:
        """Empties the file and records the facts about its future content."""
        self.path.write_bytes(b"")
        self._facts.write_text(json.dumps({"total": total, "validator": validator}), encoding="utf-8")

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self._facts.unlink(missing_ok=True)


class _NetworkError(Exception):
    """The connection failed, and another attempt may succeed."""


def _complete(part: _Part, download: Download, report: Report, delays: Sequence[float]) -> None:
    """Repeats requests until `part` is complete."""
    attempt, most = 0, part.size()
    while True:
        try:
            _request(part, download, report)
            return
        except _NetworkError as error:
            if part.size() > most:
                attempt, most = 0, part.size()
            if attempt >= len(delays):
                raise DataError(
                    f"downloading {download.url} failed ({error})",
                    remedy=f"Check the network; the same command resumes the download. {_by_hand(download)}",
                ) from error
            delay = delays[attempt]
            attempt += 1
            report(part.size(), download.num_bytes, f"{error}; trying again in {delay:g} s")
            time.sleep(delay)


def _request(part: _Part, download: Download, report: Report) -> None:
    """Requests the missing bytes of `part` and appends them."""
    facts, offset = part.facts(), part.size()
    total = facts.get("total") or download.num_bytes
    if offset and offset == total:
        return
    headers = {"User-Agent": "algoperf-jax"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if facts.get("validator"):
            headers["If-Range"] = facts["validator"]
    try:
        with urllib.request.urlopen(
            urllib.request.Request(download.url, headers=headers), timeout=_TIMEOUT_SEC
        ) as response:
            total = _begin_or_resume(part, download, response, offset, facts.get("total"))
            _append(part, response, total, report)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and offset:
            part.remove()
            raise _NetworkError("the file on the server has changed") from error
        if error.code in _TRANSIENT_STATUS:
            raise _NetworkError(f"HTTP {error.code} {error.reason}") from error
        raise DataError(
            f"downloading {download.url} failed: HTTP {error.code} {error.reason}", remedy=_by_hand(download)
        ) from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise DataError(f"downloading {download.url} failed: {error.reason}", remedy=_by_hand(download)) from error
        raise _NetworkError(f"no connection: {error.reason}") from error
    except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise _NetworkError(f"connection broken: {error!r}") from error


def _begin_or_resume(
    part: _Part, download: Download, response: Any, offset: int, expected_total: int | None
) -> int | None:
    """Prepares `part` for the response's body; returns the size of the whole file, None if unknown."""
    length = response.headers.get("Content-Length")
    resumed = response.status == http.client.PARTIAL_CONTENT
    if resumed:
        # For instance `bytes 1000-4999/5000`; the total may be `*`.
        first, _, size = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        total = int(size) if size.isdigit() else expected_total
        if first.partition("-")[0] != str(offset) or (expected_total and total != expected_total):
            part.remove()
            raise _NetworkError("the file on the server has changed")
    else:
        total = int(length) if length else None
        etag = response.headers.get("ETag", "")
        # Weak validators do not guarantee identical bytes.
        strong = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")
        part.begin(total=total, validator=strong)
    if download.num_bytes is not None and total is not None and total != download.num_bytes:
        part.remove()
        raise DataError(
            f"size of {download.url}",
            value=total,
            expected=f"{download.num_bytes} bytes",
            remedy=_by_hand(download),
        )
    return total or download.num_bytes


def _append(part: _Part, response: Any, total: int | None, report: Report) -> None:
    done = part.size()
    with part.path.open("ab") as file:
        while chunk := _read(response):
            file.write(chunk)
            done += len(chunk)
            report(done, total)
    if total is not None and done < total:
        raise _NetworkError(f"connection broken after {done:,} of {total:,} bytes")


def _read(response: Any) -> bytes:
    try:
        return response.read(_CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _NetworkError(f"connection broken: {error!r}") from error


def _checksum(path: pathlib.Path, download: Download) -> str:
    algorithm = download.checksum.partition(":")[0]
    with path.open("rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


def _by_hand(download: Download) -> str:
    return f"Otherwise get {download.filename} in another way and pass its folder as --from=FOLDER."


@contextlib.contextmanager
def console_report(label: str) -> Iterator[Report]:
    """Shows a progress bar on a terminal, elsewhere a line for each tenth."""
    if not sys.stderr.isatty():
        yield _Lines(label)
        return
    from rich import console, progress

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=console.Console(stderr=True)) as bar:
        task = bar.add_task(label, total=None)

        def report(done: int, total: int | None, note: str = "") -> None:
            bar.update(task, completed=done, total=total)
            if note:
                bar.console.print(f"{label}: {note}", markup=False, highlight=False)

        yield report


class _Lines:
    """Reports progress as lines of text on standard error."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._tenths = -1

    def __call__(self, done: int, total: int | None, note: str = "") -> None:
        if note:
            self._print(note)
            return
        tenths = 10 * done // total if total else done >> 26
        if tenths != self._tenths:
            self._tenths = tenths
            self._print(f"{done:,} of {total:,} bytes" if total else f"{done:,} bytes")

    def _print(self, text: str) -> None:
        print(f"{self._label}: {text}", file=sys.stderr, flush=True)
