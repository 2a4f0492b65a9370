"""Resolves the imports of a submission while it is loaded and run.

A finder at the head of `sys.meta_path` maps all names under which a submission imports one of its files to a single
module, `submission_files.<path>`, and the names of the reference implementation to `third_party.algoperf`. A file
therefore runs once, regardless of the name it is imported by, and its classes are the same everywhere.
"""

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import pathlib
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType

from algoperf_jax.submission import source_files
from algoperf_jax.submission.legacy_jax import legacy_jax
from algoperf_jax.submission.locate import Located
from algoperf_jax.submission.source_files import UPSTREAM_PACKAGES, SubmissionFiles

_ROOT = "submission_files"
_SURFACE = "third_party.algoperf"
_active: list["_Finder"] = []


@contextlib.contextmanager
def submission_imports(located: Located) -> Iterator[None]:
    """Makes the imports of a submission resolve; must stay open while its functions run.

    For a submission without its own files, only the names of the reference implementation resolve.
    """
    finder = _Finder(located.own_files)
    with finder.installed(), legacy_jax(located.own_files):
        _active.append(finder)
        try:
            yield
        finally:
            _active.remove(finder)


def is_active() -> bool:
    """Whether a submission's imports currently resolve."""
    return bool(_active)


def import_file(path: pathlib.Path) -> ModuleType:
    """Imports a file of the active submission and returns its module."""
    return importlib.import_module(_active[-1].name_of(path))


class _Finder(importlib.abc.MetaPathFinder):
    """Finds a submission's own files, and the names of the reference implementation."""

    def __init__(self, files: SubmissionFiles | None) -> None:
        self._files = files

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Installs the finder; at the end removes it and the modules that it found."""
        # A loaded module of the same name, for example another `utils`, is set aside.
        laid_aside = {name: module for name, module in sys.modules.items() if self._is_mine(name)}
        for name in laid_aside:
            del sys.modules[name]
        importlib.invalidate_caches()
        write_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # the folder is not ours
        root = ModuleType(_ROOT)
        root.__path__ = [] if self._files is None else [str(self._files.root)]
        sys.modules[_ROOT] = root
        sys.meta_path.insert(0, self)
        try:
            yield
        finally:
            sys.meta_path.remove(self)
            sys.dont_write_bytecode = write_bytecode
            for name in [name for name in sys.modules if self._is_mine(name)]:
                del sys.modules[name]
            sys.modules.update(laid_aside)

    def name_of(self, path: pathlib.Path) -> str:
        """The unique module name of a file or folder of the submission."""
        assert self._files is not None, path
        place = path.parent if path.name == "__init__.py" else path
        return ".".join([_ROOT, *place.relative_to(self._files.root).with_suffix("").parts])

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module that a name means, or None if it is not part of the submission."""
        del path, target
        if fullname.partition(".")[0] == _ROOT:
            return None  # found by Python below the root's folder
        if self._files is not None and self._files.aliases.get(fullname, fullname) is None:
            return importlib.machinery.ModuleSpec(fullname, _EmptyPackage(), is_package=True)
        name = self._meant_by(fullname)
        return None if name is None else importlib.machinery.ModuleSpec(fullname, _Alias(name))

    def _meant_by(self, name: str) -> str | None:
        first, _, rest = name.partition(".")
        if first in UPSTREAM_PACKAGES:
            return _found(f"{_SURFACE}.{rest}" if rest else _SURFACE)
        if self._files is None:
            return None
        place = self._files.aliases.get(name) or self._from_folders(name)
        return None if place is None else self.name_of(place)

    def _from_folders(self, name: str) -> pathlib.Path | None:
        """Resolves names that only appear at run time, from the submission's folder and those above it."""
        assert self._files is not None, name
        if source_files.is_library(name.partition(".")[0]) or not _asked_by_submission():
            return None
        places = (folder.joinpath(*name.split(".")) for folder in source_files.folders_above(self._files.folder))
        return next((found for place in places if (found := source_files.module_at(place))), None)

    def _is_mine(self, name: str) -> bool:
        """Whether this finder is responsible for a module's name."""
        if name.partition(".")[0] in (_ROOT, *UPSTREAM_PACKAGES):
            return True
        if self._files is not None and name in self._files.aliases:
            return True
        return str(getattr(sys.modules[name], "__name__", "")).startswith(f"{_ROOT}.")


class _Alias(importlib.abc.Loader):
    """Loads a module by returning the one known under another name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        del spec
        module = importlib.import_module(self._name)
        self._own = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own  # Python has replaced it by the alias's


class _EmptyPackage(importlib.abc.Loader):
    """Loads a package that only contains others, such as the name of a folder in which a repository was mounted."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        del spec

    def exec_module(self, module: ModuleType) -> None:
        module.__path__ = []


def _asked_by_submission() -> bool:
    """Whether the current import comes from a file of the submission, not from a library that looks for another."""
    frame = sys._getframe(1)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module != __name__ and module.partition(".")[0] not in ("importlib", "_frozen_importlib"):
            return module.partition(".")[0] == _ROOT
        frame = frame.f_back
    return False


def _found(name: str) -> str | None:
    try:
        return name if importlib.util.find_spec(name) is not None else None
    except ModuleNotFoundError:
        return None
