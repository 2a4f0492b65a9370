import dataclasses
import hashlib
import http.server
import io
import pathlib
import threading
from collections.abc import Callable, Iterator

import pytest

from algoperf_jax.data import download
from algoperf_jax.data.download import Download
from algoperf_jax.errors import DataError

CONTENT = b"".join(hashlib.sha256(bytes([i % 256, i // 256])).digest() for i in range(10_000))
OTHER = CONTENT[::-1]


@dataclasses.dataclass
class Site:
    """The behavior of a local server, which serves `content` and records the requests."""

    content: bytes = CONTENT
    etag: str = '"first"'
    last_modified: str = ""
    understands_range: bool = True
    tells_length: bool = True
    break_after: list[int] = dataclasses.field(default_factory=list)
    statuses: list[int] = dataclasses.field(default_factory=list)
    requests: list[dict[str, str]] = dataclasses.field(default_factory=list)
    url: str = ""

    def download(self, *, num_bytes: int | None = None, checksum: str | None = None) -> Download:
        digest = f"sha256:{hashlib.sha256(self.content).hexdigest()}"
        return Download(f"{self.url}/raw.bin", "raw.bin", num_bytes, checksum or digest)

    @property
    def ranges(self) -> list[str | None]:
        return [request.get("Range") for request in self.requests]


class Handler(http.server.BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site = self.site
        site.requests.append(dict(self.headers))
        if site.statuses and (status := site.statuses.pop(0)) != 200:
            self.send_error(status)
            return
        start = 0
        asked = self.headers.get("Range")
        unchanged = self.headers.get("If-Range") in (None, site.etag, site.last_modified)
        if asked and site.understands_range and unchanged:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(site.content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(site.content) - 1}/{len(site.content)}")
        else:
            self.send_response(200)
        body = site.content[start:]
        if site.tells_length:
            self.send_header("Content-Length", str(len(body)))
        if site.etag:
            self.send_header("ETag", site.etag)
        if site.last_modified:
            self.send_header("Last-Modified", site.last_modified)
        self.end_headers()
        self.wfile.write(body[: site.break_after.pop(0)] if site.break_after else body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the name is the base class's
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    site = Site()
    handler = type("SiteHandler", (Handler,), {"site": site})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        site.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        server.shutdown()
        thread.join()


class Recorder:
    """Records what was reported."""

    def __init__(self) -> None:
        self.progress: list[tuple[int, int | None]] = []
        self.notes: list[str] = []

    def __call__(self, done: int, total: int | None, note: str = "") -> None:
        if note:
            self.notes.append(note)
        else:
            self.progress.append((done, total))


def fetch(item: Download, folder: pathlib.Path, report: Recorder | None = None) -> bytes:
    path = download.fetch(item, folder, report=report or Recorder(), delays=(0, 0, 0))
    assert path == folder / item.filename
    assert [entry.name for entry in folder.iterdir()] == [item.filename]
    return path.read_bytes()


def test_whole_file(site: Site, tmp_path: pathlib.Path) -> None:
    report = Recorder()
    assert fetch(site.download(num_bytes=len(CONTENT)), tmp_path / "new" / "folder", report) == CONTENT
    assert report.progress[-1] == (len(CONTENT), len(CONTENT))
    assert report.notes == []


def test_md5(site: Site, tmp_path: pathlib.Path) -> None:
    checksum = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
    assert fetch(site.download(checksum=checksum), tmp_path) == CONTENT


def test_intact_file_is_not_asked_for_again(site: Site, tmp_path: pathlib.Path) -> None:
    fetch(site.download(), tmp_path)
    report = Recorder()
    fetch(site.download(), tmp_path, report)
    assert len(site.requests) == 1
    assert report.notes == ["already downloaded"]


def test_damaged_file_is_replaced(site: Site, tmp_path: pathlib.Path) -> None:
    (tmp_path / "raw.bin").write_bytes(OTHER)
    assert fetch(site.download(), tmp_path) == CONTENT


def test_broken_connection_is_resumed(site: Site, tmp_path: pathlib.Path) -> None:
    site.break_after = [100_000, 50_000]
    report = Recorder()
    assert fetch(site.download(), tmp_path, report) == CONTENT
    assert site.ranges == [None, "bytes=100000-", "bytes=150000-"]
    assert [request.get("If-Range") for request in site.requests] == [None, '"first"', '"first"']
    assert len(report.notes) == 2
    assert "connection broken" in report.notes[0]


def test_many_interruptions_are_survived_while_bytes_arrive(site: Site, tmp_path: pathlib.Path) -> None:
    site.break_after = [20_000] * 10
    assert fetch(site.download(), tmp_path) == CONTENT
    assert len(site.requests) == 11


def test_later_call_resumes(site: Site, tmp_path: pathlib.Path) -> None:
    site.break_after = [100_000, 0, 0, 0]
    with pytest.raises(DataError, match="the same command resumes the download"):
        fetch(site.download(), tmp_path)
    assert (tmp_path / "raw.bin.part").stat().st_size == 100_000
    assert not (tmp_path / "raw.bin").exists()
    site.requests.clear()
    assert fetch(site.download(), tmp_path) == CONTENT
    assert site.ranges == ["bytes=100000-"]


def test_all_bytes_were_there_already(site: Site, tmp_path: pathlib.Path) -> None:
    (tmp_path / "raw.bin.part").write_bytes(CONTENT)
    assert fetch(site.download(num_bytes=len(CONTENT)), tmp_path) == CONTENT
    assert site.requests == []


def test_server_that_ignores_ranges(site: Site, tmp_path: pathlib.Path) -> None:
    site.understands_range = False
    site.break_after = [100_000]
    assert fetch(site.download(), tmp_path) == CONTENT
    assert len(site.requests) == 2


def change(site: Site) -> None:
    site.content, site.etag, site.last_modified = OTHER, '"second"', "Tue, 02 Jan 2024 00:00:00 GMT"


def without_validator(site: Site) -> None:
    site.etag = ""


def weak_validator(site: Site) -> None:
    site.etag, site.last_modified = 'W/"first"', "Mon, 01 Jan 2024 00:00:00 GMT"


def nothing_special(site: Site) -> None:
    pass


@pytest.mark.parametrize("before", [nothing_special, without_validator, weak_validator])
def test_file_that_changed_on_the_server(site: Site, tmp_path: pathlib.Path, before: Callable[[Site], None]) -> None:
    before(site)
    site.break_after = [100_000, 0, 0, 0]
    with pytest.raises(DataError):
        fetch(site.download(), tmp_path)
    change(site)
    assert fetch(site.download(), tmp_path) == OTHER


def test_file_that_became_shorter_on_the_server(site: Site, tmp_path: pathlib.Path) -> None:
    site.etag = ""
    site.break_after = [100_000, 0, 0, 0]
    with pytest.raises(DataError):
        fetch(site.download(), tmp_path)
    site.content = CONTENT[:50_000]
    assert fetch(site.download(), tmp_path) == CONTENT[:50_000]


def test_unfinished_file_of_unknown_origin(site: Site, tmp_path: pathlib.Path) -> None:
    (tmp_path / "raw.bin.part").write_bytes(OTHER[:1000])
    report = Recorder()
    assert fetch(site.download(), tmp_path, report) == CONTENT
    assert site.ranges == ["bytes=1000-", None]
    assert report.notes == ["checksum mismatch after resuming, starting over"]


def test_server_that_reports_no_length(site: Site, tmp_path: pathlib.Path) -> None:
    site.tells_length = False
    report = Recorder()
    assert fetch(site.download(), tmp_path, report) == CONTENT
    assert report.progress[-1] == (len(CONTENT), None)


def test_short_body_without_a_length_is_noticed_by_size(site: Site, tmp_path: pathlib.Path) -> None:
    site.tells_length = False
    site.break_after = [100_000]
    assert fetch(site.download(num_bytes=len(CONTENT)), tmp_path) == CONTENT
    assert site.ranges == [None, "bytes=100000-"]


def test_wrong_checksum_removes_the_file(site: Site, tmp_path: pathlib.Path) -> None:
    with pytest.raises(DataError, match=r"checksum of http.*found 'sha256:.*expected sha256:00.* --from=FOLDER"):
        fetch(site.download(checksum="sha256:00"), tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert len(site.requests) == 1


def test_wrong_size_is_noticed_before_downloading(site: Site, tmp_path: pathlib.Path) -> None:
    with pytest.raises(DataError, match="found 320000; expected 17 bytes"):
        fetch(site.download(num_bytes=17), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_transient_status_is_retried(site: Site, tmp_path: pathlib.Path) -> None:
    site.statuses = [503, 429]
    report = Recorder()
    assert fetch(site.download(), tmp_path, report) == CONTENT
    assert [note.partition(" ")[0] for note in report.notes] == ["HTTP", "HTTP"]


def test_transient_status_that_stays(site: Site, tmp_path: pathlib.Path) -> None:
    site.statuses = [503] * 10
    with pytest.raises(DataError, match="HTTP 503"):
        fetch(site.download(), tmp_path)
    assert len(site.requests) == 4


@pytest.mark.parametrize("status", [403, 404])
def test_permanent_status_is_not_retried(site: Site, tmp_path: pathlib.Path, status: int) -> None:
    site.statuses = [status]
    with pytest.raises(DataError, match=rf"raw\.bin failed: HTTP {status} .*--from=FOLDER"):
        fetch(site.download(), tmp_path)
    assert len(site.requests) == 1


def test_no_server(site: Site, tmp_path: pathlib.Path) -> None:
    # Nothing listens on port 1.
    item = dataclasses.replace(site.download(), url="http://127.0.0.1:1/raw.bin")
    with pytest.raises(DataError, match=r"no connection: .*Check the network"):
        fetch(item, tmp_path)


def test_folder_that_cannot_be_written(site: Site, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        fetch(site.download(), tmp_path / "file")


def test_delays_grow_and_are_waited(site: Site, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(download.time, "sleep", waited.append)
    site.statuses = [500] * 10
    with pytest.raises(DataError):
        download.fetch(site.download(), tmp_path, report=Recorder())
    assert waited == sorted(waited)
    assert waited[0] < waited[-1]


def test_lines_elsewhere_than_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with download.console_report("raw.bin") as report:
        for done in range(1001):
            report(done, 1000)
        report(1000, 1000, "a note")
    lines = capsys.readouterr().err.splitlines()
    assert lines[-2:] == ["raw.bin: 1,000 of 1,000 bytes", "raw.bin: a note"]
    assert len(lines) == 12


def test_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with download.console_report("raw.bin") as report:
        report(500, 1000)
        report(500, 1000, "[a note]")
        report(1000, 1000)
    assert "raw.bin: [a note]" in terminal.getvalue()
    assert "1.0/1.0 kB" in terminal.getvalue()
