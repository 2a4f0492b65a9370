"""Lists the test files that a change may break, the most likely first, from the imports of the changed files.

    python -m tests.affected                  since the branch `main`, including uncommitted changes
    python -m tests.affected --since=HEAD     uncommitted changes only

A test file is affected if it is the changed file's mirror in `tests/`, or imports it in at most `--steps` steps. Other
tests are left to `make test`, and files other than Python to the tests of documents.
"""

import argparse
import ast
import pathlib
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence

ROOT = pathlib.Path(__file__).parents[1]
ALWAYS = (
    "tests/test_imports.py",
    "tests/test_documents.py",
    "tests/test_document_commands.py",
    "tests/test_document_coverage.py",
)


def changed_files(since: str) -> list[str]:
    """Paths that differ from the merge base with `since`, including new files but not deleted ones."""

    def git(*arguments: str) -> list[str]:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.split("\n")[:-1]

    (base,) = git("merge-base", since, "HEAD")
    paths = {*git("diff", "--name-only", base), *git("ls-files", "--others", "--exclude-standard")}
    return sorted(path for path in paths if (ROOT / path).exists())


def import_graph(root: pathlib.Path) -> dict[str, set[str]]:
    """Path of each Python file below `root` -> paths of the files that it imports anywhere."""
    folders = [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
    files = [file.relative_to(root).as_posix() for folder in folders for file in folder.rglob("*.py")]
    modules = {file.removesuffix(".py").removesuffix("/__init__").replace("/", "."): file for file in files}
    return {
        file: {modules[name] for name in _imported((root / file).read_text()) if name in modules} - {file}
        for file in files
    }


def affected(changed: Iterable[str], graph: Mapping[str, set[str]], steps: int) -> list[str]:
    """Test files by distance: changed ones and mirrors, then those that import a changed file in 1, 2, ... steps."""
    reached = [path for path in changed if path in graph]
    found = dict.fromkeys(path for path in reached if _is_test(path))
    found |= dict.fromkeys(mirror for path in reached if (mirror := _mirror(path)) in graph)
    seen = set(reached)
    for _ in range(steps):
        reached = sorted(
            file for file, imported in graph.items() if file not in seen and not imported.isdisjoint(reached)
        )
        seen |= set(reached)
        found |= dict.fromkeys(path for path in reached if _is_test(path))
    return list(found)


def _imported(source: str) -> Iterator[str]:
    """Dotted names that may be modules."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _is_test(path: str) -> bool:
    return path.startswith("tests/") and pathlib.PurePath(path).name.startswith("test_")


def _mirror(path: str) -> str:
    """`tests/a/test_b.py` for `a/b.py`."""
    file = pathlib.PurePath("tests", path)
    return str(file.with_name(f"test_{file.name}"))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--since", default="main", help="branch or commit (default: main)")
    parser.add_argument("--steps", type=int, default=1, help="imports between a changed file and a test (default: 1)")
    options = parser.parse_args(arguments)
    files = affected(changed_files(options.since), import_graph(ROOT), options.steps)
    print(*dict.fromkeys([*files, *ALWAYS]))


if __name__ == "__main__":
    main()
