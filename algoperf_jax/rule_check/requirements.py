"""Compares the packages that a submission needs with those that are installed."""

import ast
import dataclasses
import importlib.metadata
import pathlib
import platform
import re
import sys
from collections.abc import Iterator, Mapping, Sequence

from algoperf_jax.rule_check.findings import Finding
from algoperf_jax.rule_check.modules import Module
from algoperf_jax.submission import source_files
from algoperf_jax.submission.source_files import SubmissionFiles

_LIBRARIES = ("algoperf-jax", "jax", "jaxlib", "flax", "optax", "numpy", "torch")
_CONDA = re.compile(r"(?P<name>[\w.-]+)=(?P<version>[^=\s]+)=(?P<build>\S+)")
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)\s*(\[[^\]]*\])?\s*(?P<versions>[^;#]*)")
_VERSION = re.compile(r"(==|>=|<=|!=|~=|>|<)\s*([\w.*+!-]+)")
_NAMES_OF_THE_BENCHMARK = ("algoperf", "algorithmic-efficiency")
_ERRORS_OF_IMPORTS = ("ImportError", "ModuleNotFoundError", "Exception", "BaseException")


@dataclasses.dataclass(frozen=True)
class _Line:
    name: str
    versions: str
    line: int
    from_conda: bool


def versions() -> dict[str, str]:
    """Installed versions of libraries that matter to submissions."""
    found = {"python": platform.python_version()}
    return found | {name: version for name in _LIBRARIES if (version := _installed(name)) is not None}


def check_imports(modules: Sequence[Module], files: SubmissionFiles) -> Iterator[Finding]:
    """Finds imported modules that are neither installed nor part of the submission."""
    for module in modules:
        reported: set[str] = set()
        for node in module.nodes:
            if isinstance(node.syntax, ast.Import):
                names = [alias.name for alias in node.syntax.names]
            elif isinstance(node.syntax, ast.ImportFrom) and not node.syntax.level:
                names = [str(node.syntax.module)]
            else:
                continue
            for name in names:
                first = name.partition(".")[0]
                if first in reported or name in files.aliases or source_files.is_library(first):
                    continue
                if not _may_fail(module, node.syntax):
                    reported.add(first)
                    what = f"needs {first}, which is not installed"
                    yield module.finding("error", "missing-module", node.syntax, what)


def check_files(folder: pathlib.Path, imported: set[str]) -> Iterator[Finding]:
    """Checks the requirements files in a folder; of a long list exported by conda, only imported packages matter."""
    used = {_normalized(name) for name in imported - sys.stdlib_module_names}
    for path in sorted(folder.glob("requirements*.txt")):
        for number, text in enumerate(path.read_text(errors="replace").splitlines(), 1):
            text = re.sub(r"(^|\s)#.*", "", text).strip()
            if not text or (text.startswith(("-r", "-c", "--")) and not text.startswith("--editable")):
                continue
            if text.startswith(("-e", "--editable", ".", "/")) or "git+" in text or "://" in text:
                what = f"is not installed from a registry: {text}"
                yield Finding("warning", "requirement", what, path.name, number)
                continue
            line = _parsed(text, number)
            if line is None:
                yield Finding("warning", "requirement", f"cannot be read: {text}", path.name, number)
            elif not line.from_conda or _normalized(line.name) in used:
                yield from _compared(line, path.name)


def _parsed(text: str, number: int) -> _Line | None:
    conda = _CONDA.fullmatch(text)
    if conda is not None:
        return _Line(conda["name"], f"=={conda['version']}", number, from_conda=True)
    plain = _REQUIREMENT.match(text)
    return None if plain is None else _Line(plain["name"], plain["versions"].strip(), number, from_conda=False)


def _compared(line: _Line, file: str) -> Iterator[Finding]:
    if _normalized(line.name) in _NAMES_OF_THE_BENCHMARK:
        return
    installed = _installed(line.name)
    if installed is None:
        yield Finding("warning", "requirement", f"requires {line.name}, which is not installed", file, line.line)
    elif not all(_satisfies(installed, *wanted) for wanted in _VERSION.findall(line.versions)):
        what = f"requires {line.name}{line.versions}; {installed} is installed"
        yield Finding("note", "requirement", what, file, line.line)


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _satisfies(installed: str, operator: str, wanted: str) -> bool:
    """Compares release numbers; suffixes such as `rc1` and `+cu126` are ignored."""
    have, want = _release(installed), _release(wanted)
    same = have[: len(want)] == want if wanted.endswith(".*") or operator == "~=" else _padded(have) == _padded(want)
    if operator == "~=":
        return have[: len(want) - 1] == want[:-1] and have >= want
    outcomes: Mapping[str, bool] = {
        "==": same,
        "!=": not same,
        ">=": _padded(have) >= _padded(want),
        "<=": _padded(have) <= _padded(want),
        ">": _padded(have) > _padded(want),
        "<": _padded(have) < _padded(want),
    }
    return outcomes[operator]


def _release(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(number) for number in found.group().split(".")) if found else ()


def _padded(release: tuple[int, ...]) -> tuple[int, ...]:
    return (*release, *[0] * (6 - len(release)))


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _may_fail(module: Module, statement: ast.AST) -> bool:
    """Whether the failure of an import is caught, or the import is only for type checkers."""
    above = module.parents.get(statement)
    while above is not None and not isinstance(above, ast.Module):
        if isinstance(above, ast.Try):
            kinds = [handler.type for handler in above.handlers]
            if any(kind is None or any(e in ast.unparse(kind) for e in _ERRORS_OF_IMPORTS) for kind in kinds):
                return True
        if isinstance(above, ast.If) and "TYPE_CHECKING" in ast.unparse(above.test):
            return True
        above = module.parents.get(above)
    return False
