"""The site builds without a warning, and a browser that opens it needs nothing from the network."""

import html.parser
import os
import pathlib
import re
import subprocess
import sys

import pytest

from docs.generate.doctests import fenced

ROOT = pathlib.Path(__file__).parents[1]
PAGES = ("index", "getting-started", "submissions", "tuning", "workloads", "scoring", "timing", "architecture")
REFERENCES = ("run-trial", "submission", "workload-view", "workload", "data", "scoring")
LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src"}
LOADED_LINKS = ("stylesheet", "preload", "modulepreload", "preconnect", "dns-prefetch", "prefetch", "icon")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", f"--site-dir={folder}"]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Loads(html.parser.HTMLParser):
    """The addresses that a page loads when it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag in LOADING and LOADING[tag] in values:
            self.found.append(values[LOADING[tag]])
        if tag == "link" and set(values.get("rel", "").split()) & {*LOADED_LINKS}:
            self.found.append(values.get("href", ""))


def loads(text: str) -> list[str]:
    parser = Loads()
    parser.feed(text)
    return parser.found


def elsewhere(address: str) -> bool:
    return re.match(r"(\w+:)?//", address) is not None


def test_every_page_is_there(site: pathlib.Path) -> None:
    assert [name for name in PAGES if not (site / f"{name}.html").is_file()] == []
    assert [name for name in REFERENCES if not (site / f"reference/{name}.html").is_file()] == []
    # Examples and the notebook come with the site; what makes it does not.
    assert (site / "examples/optax_factory.py").is_file()
    assert (site / "notebooks/quickstart.ipynb").is_file()
    assert not (site / "generate").exists()


def test_the_reference_documents_what_it_names(site: pathlib.Path) -> None:
    texts = {name: (site / f"reference/{name}.html").read_text() for name in REFERENCES}
    assert "algoperf_jax.run_trial" in texts["run-trial"]
    assert "time_to_target_sec" in texts["run-trial"]
    assert "step_hint" in texts["workload-view"]
    assert "per_example" in texts["workload"]
    assert "Traceback" not in "".join(texts.values())


def test_examples_in_docstrings_become_blocks_of_code(site: pathlib.Path) -> None:
    text = "Does something.\n\n>>> f(1)\n2\n\nMore.\n\nExamples:\n  >>> g()\n"
    assert fenced(text) == "Does something.\n\n```pycon\n>>> f(1)\n2\n```\n\nMore.\n\nExamples:\n  >>> g()\n"
    assert "<blockquote>" not in "".join((site / f"reference/{name}.html").read_text() for name in REFERENCES)


def test_nothing_is_loaded_from_the_network(site: pathlib.Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    found = {(page.name, address) for page in pages for address in loads(page.read_text()) if elsewhere(address)}
    assert found == set()
    for sheet in site.rglob("*.css"):
        addresses = re.findall(r"(?:url\(|@import\s+)[\"']?([^\"')\s;]+)", sheet.read_text())
        assert [address for address in addresses if elsewhere(address)] == []
    # The theme's script fetches Mermaid for such blocks only.
    assert [page.name for page in pages if 'class="mermaid"' in page.read_text()] == []


def test_what_is_loaded_from_elsewhere_is_found() -> None:
    page = '<link rel="stylesheet" href="https://fonts.example/x.css"><script src="//cdn.example/x.js"></script>'
    assert [elsewhere(address) for address in loads(page)] == [True, True]
    assert loads('<a href="https://example.org">a link</a><img src="pictures/rooms.svg">') == ["pictures/rooms.svg"]
