"""Loads a submission by name, file or dotted module, and checks that it defines the required functions."""

import contextlib
import importlib
import inspect
import os
import pathlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from algoperf_jax.errors import SubmissionError, did_you_mean
from algoperf_jax.submission import source_files
from algoperf_jax.submission.calls import FACTORY, OPTIONAL, REQUIRED, why_not_callable
from algoperf_jax.submission.framework_names import ENTRIES, JAX, algorithm_names
from algoperf_jax.submission.imports import import_file, is_active, submission_imports
from algoperf_jax.submission.interface import Source, Submission
from algoperf_jax.submission.locate import Located
from algoperf_jax.submission.optax_factory import make_functions
from algoperf_jax.submission.source_files import SEARCH_SPACE_FILE, SubmissionFiles
from algoperf_jax.workload import Workload


def load_submission(located: Located, workload: Workload) -> Submission:
    """Loads and checks a submission; if it is a file, its functions must run within `submission_imports(located)`.

    Args:
      located: the submission.
      workload: the workload it will train on; gives the batch size of algorithms that do not choose one.

    Raises:
      SubmissionError: it cannot be found, read or imported, or lacks a function.
    """
    with contextlib.nullcontext() if is_active() else submission_imports(located):
        module = _import(located)
    framework = located.written_in
    path = _file_of(module, located.reference)
    name = _name_of(path)
    source = Source(path, _contents(path, located.files))
    if framework == JAX and hasattr(module, FACTORY):
        return _from_factory(name, module, source, workload)
    functions: dict[str, Any] = {name: getattr(module, name, None) for name in (*REQUIRED, *OPTIONAL)}
    left_out = {name for name in OPTIONAL if functions[name] is None}
    missing = [name for name, function in functions.items() if not callable(function) and name not in left_out]
    if missing:
        raise SubmissionError(
            f"submission {path} lacks {', '.join(missing)}",
            expected=f"the functions {', '.join(REQUIRED)}, or an optax factory {FACTORY}(hyperparameters, workload)",
        )
    functions["get_batch_size"] = functions["get_batch_size"] or (lambda workload_name: workload.batch_size)
    submission = Submission(
        name=name,
        framework=framework,
        **functions,
        hyperparameters=_declared_hyperparameters(module),
        source=source,
    )
    _check_signatures(submission)
    return submission


def _name_of(path: pathlib.Path) -> str:
    """The file's name, or that of its folder if the file's name is generic; `<method>_jax` for `<method>/jax/`."""
    if path.stem not in ("submission", "__init__"):
        return path.stem
    folder = path.parent
    return f"{folder.parent.name}_{folder.name}" if folder.name in ENTRIES else folder.name


def _from_factory(name: str, module: ModuleType, source: Source, workload: Workload) -> Submission:
    _check_accepts(source.path, FACTORY, module.make_optimizer)
    declared: Any = getattr(module, "Hyperparameters", None)
    defaults = _declared_hyperparameters(module)
    if declared is not None and defaults is None:
        raise SubmissionError(
            f"submission {source.path}: Hyperparameters",
            value=declared,
            expected="a typing.NamedTuple in which every field has a default",
        )
    return Submission(
        name=name,
        framework=JAX,
        get_batch_size=lambda workload_name: workload.batch_size,
        **make_functions(module.make_optimizer, getattr(module, "evaluation_params", None))._asdict(),
        get_eval_batch_size=None,
        hyperparameters=defaults,
        source=source,
    )


def _declared_hyperparameters(module: ModuleType) -> Mapping[str, Any] | None:
    """Names and defaults of the module's `Hyperparameters`, if it is a named tuple with a default for every field."""
    declared: Any = getattr(module, "Hyperparameters", None)
    defaults = getattr(declared, "_field_defaults", None)
    return defaults if defaults is not None and set(defaults) == set(declared._fields) else None


def _import(located: Located) -> ModuleType:
    reference, framework = located.reference, located.written_in
    if located.is_ready_made:
        return importlib.import_module(f"{ENTRIES[framework].algorithms}.{reference}")
    path = None if located.files is None else located.files.entry
    if path is None and located.is_path:
        raise SubmissionError(
            "config.submission: no such file",
            value=reference,
            expected="a readable Python file, or a folder with a submission.py",
        )
    if path is not None and "." in path.stem:
        raise SubmissionError(
            "config.submission: a Python file cannot be imported by this name",
            value=path.name,
            expected="a name without further dots",
        )
    try:
        if path is None:
            return importlib.import_module(reference)
        if located.own_files is None:
            return importlib.import_module(source_files.dotted_name(path))
        return import_file(path)
    except (Exception, SystemExit) as error:
        if path is None and isinstance(error, ModuleNotFoundError) and f"{reference}.".startswith(f"{error.name}."):
            raise SubmissionError(
                "config.submission: unknown algorithm",
                value=reference,
                expected="a ready-made algorithm, the path of a .py file or a dotted module",
                remedy=did_you_mean(reference, algorithm_names(framework)),
            ) from error
        raise _import_failure(str(path or reference), error) from error


def _import_failure(reference: str, error: BaseException) -> SubmissionError:
    return SubmissionError(
        f"submission {reference} cannot be imported: {type(error).__name__}: {error}",
        remedy="Fix the file, or install what it needs.",
    )


def _file_of(module: ModuleType, reference: str) -> pathlib.Path:
    if getattr(module, "__file__", None) is None:
        raise SubmissionError("config.submission: a package without a file", value=reference)
    return pathlib.Path(str(module.__file__)).resolve()


def _contents(path: pathlib.Path, submission_files: SubmissionFiles | None) -> dict[str, bytes]:
    """The submission's files and its requirements files, named relative to its folder.

    Files outside the folder are named `above/...`, relative to the folder that contains all files.
    """
    trees = [] if submission_files is None else submission_files.trees
    folder = path.parent
    files = [path, *trees, *folder.glob("requirements*.txt")]
    files += folder.glob(SEARCH_SPACE_FILE)
    base = os.path.commonpath([file.parent for file in files])
    names = {
        file: str(file.relative_to(folder)) if file.is_relative_to(folder) else f"above/{file.relative_to(base)}"
        for file in files
    }
    return {name: file.read_bytes() for file, name in names.items()}


def _check_signatures(submission: Submission) -> None:
    for name in (*REQUIRED, *OPTIONAL):
        function = getattr(submission, name)
        if function is not None:
            _check_accepts(submission.source.path, name, function)


def _check_accepts(path: pathlib.Path, name: str, function: Any) -> None:
    """Checks that `function` can be called as the engine will call it."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # some functions written in C have no signature
        return
    problem = why_not_callable(name, signature)
    if problem is not None:
        error, how = problem
        raise SubmissionError(
            f"submission {path}: {name}{signature} does not accept its arguments ({error})", expected=how
        )
