"""Finds the files of a submission, and the names under which they import each other, without running them.

A published submission is a file or a folder, and imports its own files by many names: relatively, from the folder
itself, from the repository that contains it, or from the place where that repository was once mounted. Each of these
names is mapped to the file that it means.
"""

import ast
import dataclasses
import functools
import importlib.machinery
import importlib.util
import pathlib
import site
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence

_MOST_FOLDERS_ABOVE = 8
_PROJECT_PACKAGES = frozenset({"algoperf_jax", "configs", "scoring", "third_party", "torch_compat", "workloads"})
SEARCH_SPACE_FILE = "tuning_search_space.json"
"""File name of the search space that a submission may include."""
UPSTREAM_PACKAGES = ("algoperf", "algorithmic_efficiency")
"""Package names of the benchmark's reference implementation; `third_party` supplies what submissions import from it."""


@dataclasses.dataclass(frozen=True)
class SubmissionFiles:
    """The files of a submission.

    Attributes:
      entry: the file that defines the functions.
      trees: file -> syntax tree, for the entry and all files of the submission that it imports, in the order found.
      unparsed: the files that cannot be parsed.
      aliases: dotted name -> the file or folder that the submission means by it, or None for a name that only contains
        others.
    """

    entry: pathlib.Path
    trees: Mapping[pathlib.Path, ast.Module]
    aliases: Mapping[str, pathlib.Path | None]
    unparsed: frozenset[pathlib.Path] = frozenset()

    @property
    def folder(self) -> pathlib.Path:
        """The folder of the entry."""
        return self.entry.parent

    @property
    def root(self) -> pathlib.Path:
        """The topmost folder from which files are imported."""
        return folders_above(self.folder)[-1]

    def imported_libraries(self, file: pathlib.Path | None = None) -> set[str]:
        """Top-level names of the imports of all files, or one, that are not part of the submission."""
        trees = self.trees.values() if file is None else [self.trees[file]] if file in self.trees else []
        names = {name for tree in trees for name in _absolute_names(tree)}
        return {name.partition(".")[0] for name in names if name not in self.aliases}

    def attributes(self) -> set[str]:
        """All dotted names that are read, such as `jax.tree_map`, as written, and all names imported from modules."""
        return {name for tree in self.trees.values() for name in _attributes(tree)}

    def keywords(self, function: str) -> set[str]:
        """The keyword arguments used in calls of a function or method of this name."""
        calls = (node for tree in self.trees.values() for node in ast.walk(tree) if isinstance(node, ast.Call))
        return {
            str(keyword.arg)
            for call in calls
            if getattr(call.func, "attr", getattr(call.func, "id", None)) == function
            for keyword in call.keywords
        }


def is_project_file(path: pathlib.Path) -> bool:
    """Whether a file belongs to this project's packages, which are imported normally."""
    project = pathlib.Path(__file__).parents[2]
    return path.is_relative_to(project) and path.relative_to(project).parts[0] in _PROJECT_PACKAGES


def dotted_name(path: pathlib.Path) -> str:
    """The name by which a file of this project is imported."""
    place = path.parent if path.name == "__init__.py" else path.with_suffix("")
    return ".".join(place.relative_to(pathlib.Path(__file__).parents[2]).parts)


def find(reference: str) -> pathlib.Path | None:
    """The file that `config.submission` means, given a file, a folder or a dotted module, or None."""
    if reference.endswith(".py") or "/" in reference:
        path = pathlib.Path(reference).expanduser()
        path = path / "submission.py" if path.is_dir() else path
        return path.resolve() if path.is_file() else None
    try:
        found = importlib.util.find_spec(reference)
    except (ImportError, ValueError, AttributeError):
        return None
    return pathlib.Path(found.origin).resolve() if found is not None and found.has_location and found.origin else None


def collect(entry: pathlib.Path) -> SubmissionFiles:
    """Collects the files of the submission whose functions are in `entry`.

    A file that cannot be parsed is skipped; importing it reports what is wrong.
    """
    trees: dict[pathlib.Path, ast.Module] = {}
    aliases: dict[str, pathlib.Path | None] = {}
    unparsed: set[pathlib.Path] = set()
    waiting = [entry]
    while waiting:
        path = waiting.pop(0)
        if path in trees or path in unparsed:
            continue
        tree = _parsed(path)
        if tree is None:
            unparsed.add(path)
            continue
        trees[path] = tree
        waiting += _relative_files(path, tree)
        for name in _absolute_names(tree):
            above = aliases.get(name.rpartition(".")[0])
            if above is not None and above.is_file():
                continue  # a file contains no modules: this is one of its functions
            located = _locate(name, path, entry)
            for alias, place in located.items():
                aliases.setdefault(alias, place)
            waiting += [file for place in located.values() if place is not None and (file := source_of(place))]
    return SubmissionFiles(entry, trees, aliases, frozenset(unparsed))


def folders_above(folder: pathlib.Path) -> list[pathlib.Path]:
    """The folder itself and those above it, nearest first, up to the first that cannot be part of a dotted name."""
    folders = [folder]
    while len(folders) <= _MOST_FOLDERS_ABOVE and folders[-1].parent != folders[-1] and "." not in folders[-1].name:
        folders.append(folders[-1].parent)
    return folders


def module_at(path: pathlib.Path) -> pathlib.Path | None:
    """The file `path`.py, or `path` if it is a package or a folder of Python files, or None."""
    file = path.with_name(f"{path.name}.py")
    if file.is_file():
        return file
    return path if path.is_dir() and (source_of(path) or next(path.glob("**/*.py"), None)) else None


def source_of(place: pathlib.Path) -> pathlib.Path | None:
    """The file that runs when a file or folder is imported, or None."""
    file = place / "__init__.py" if place.is_dir() else place
    return file if file.is_file() else None


@functools.cache
def is_library(name: str) -> bool:
    """Whether a top-level name belongs to Python, this project or an installed library, not to the submission."""
    if name in sys.stdlib_module_names or name in _PROJECT_PACKAGES or name in UPSTREAM_PACKAGES:
        return True
    places = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()}
    return importlib.machinery.PathFinder.find_spec(name, sorted(places)) is not None


def _parsed(path: pathlib.Path) -> ast.Module | None:
    try:
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None


def _locate(name: str, importer: pathlib.Path, entry: pathlib.Path) -> dict[str, pathlib.Path | None]:
    """Resolves a dotted name and its prefixes; empty if it is not part of the submission.

    Looks in the folders above the importing file, as Python would. If that fails, the first parts may name the place
    where the submission was once mounted, provided that they or the rest mention submissions or a folder that contains
    the submission.
    """
    parts = name.split(".")
    if is_library(parts[0]):
        return {}
    folders = list(dict.fromkeys([*folders_above(importer.parent), *folders_above(entry.parent)]))
    known = {folder.name for folder in folders_above(entry.parent)[:-1]}
    for dropped in range(len(parts)):
        about_submissions = any(part in known or "submission" in part for part in parts[: dropped + 1])
        if dropped and not about_submissions:
            continue
        for folder in folders:
            if module_at(folder.joinpath(*parts[dropped:])):
                mounted: dict[str, pathlib.Path | None] = {".".join(parts[:end]): None for end in range(1, dropped + 1)}
                return mounted | {
                    ".".join(parts[:end]): module_at(folder.joinpath(*parts[dropped:end]))
                    for end in range(dropped + 1, len(parts) + 1)
                }
    return {}


def _absolute_names(tree: ast.Module) -> Iterator[str]:
    """All absolute imports: modules, and names that may be modules in a package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if alias.name != "*")


def _relative_files(path: pathlib.Path, tree: ast.Module) -> list[pathlib.Path]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = _above(path, node.level).joinpath(*(node.module or "").split("."))
            candidates = [base / alias.name for alias in node.names] if base.is_dir() else []
            places = [module_at(place) for place in (base, *candidates)]
            found += [file for place in places if place is not None and (file := source_of(place))]
    return found


def _above(path: pathlib.Path, level: int) -> pathlib.Path:
    return path.parents[min(level, len(path.parents)) - 1]


def _attributes(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            parts = _chain(node)
            if parts:
                yield ".".join(parts)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _chain(node: ast.expr) -> Sequence[str]:
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        before = _chain(node.value)
        return (*before, node.attr) if before else ()
    return ()
