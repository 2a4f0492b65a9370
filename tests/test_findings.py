"""The scripts of findings/ are listed, begin alike and know nothing of this project; what they show is run by hand."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "findings").glob("*.sh"))
PACKAGES = ("algoperf_jax", "configs", "scoring", "third_party", "torch_compat", "workloads")
NAMED = re.compile(r"\b(\w+\.sh)\b")


def test_the_list_names_every_script_once() -> None:
    listed = re.findall(r"^- `(\w+\.sh)`: ", (ROOT / "findings/README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == [path.name for path in SCRIPTS]


def test_the_list_has_the_titles_of_the_scripts() -> None:
    text = " ".join((ROOT / "findings/README.md").read_text().split())
    for path in SCRIPTS:
        assert f"- `{path.name}`: {path.read_text().splitlines()[1].removeprefix('# ')}" in text


def test_what_comments_refer_to_exists() -> None:
    sources = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    lines = [line for path in sources for line in path.read_text().splitlines() if "findings/" in line]
    named = {name for line in lines for name in NAMED.findall(line)}
    assert named
    assert named <= {path.name for path in SCRIPTS}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_says_what_it_shows_and_stands_alone(path: pathlib.Path) -> None:
    text = path.read_text()
    comment, rest = text.split("set -euo pipefail\n", 1)
    assert path.stat().st_mode & 0o111
    assert comment.startswith("#!/usr/bin/env bash\n# ")
    for part in ("# Expected: ", "# What happens: ", "# Why it matters here: ", "# Seen with: "):
        assert part in comment
    assert "trap 'rm -rf" in rest
    assert not [package for package in PACKAGES if re.search(rf"\b{package}\b", rest)]
    # Every package is pinned.
    installed = [word for line in re.findall(r"pip install --quiet (.*)", rest) for word in line.split()]
    assert installed
    assert all(re.fullmatch(r"[\w.-]+==[\d.]+", word) for word in installed)
