"""Finds a submission by name, file or dotted module, and checks that it has the functions it needs."""

import importlib
import importlib.util
import inspect
import pathlib
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from algoperf_jax.errors import SubmissionError, did_you_mean
from algoperf_jax.frameworks import ENTRIES, JAX, algorithm_names
from algoperf_jax.optax_submission import make_functions
from algoperf_jax.submission import Source, Submission
from algoperf_jax.workload import Workload

_REQUIRED = ("get_batch_size", "init_optimizer_state", "update_params", "data_selection")
_OPTIONAL = ("prepare_for_eval", "get_eval_batch_size")
_FACTORY = "make_optimizer"
_UPDATE_ARGUMENTS = (
    "workload",
    "current_param_container",
    "current_params_types",
    "model_state",
    "hyperparameters",
    "batch",
    "loss_type",
    "optimizer_state",
    "eval_results",
    "global_step",
    "rng",
)
_PREPARE_ARGUMENTS = tuple(name for name in _UPDATE_ARGUMENTS if name != "batch")


def load_submission(reference: str, workload: Workload, framework: str = JAX) -> Submission:
    """Loads and checks a submission.

    Args:
      reference: the name of a ready-made algorithm, the path of a `.py` file, or a dotted module.
      workload: the workload it will train, for the batch size of algorithms that do not choose one.
      framework: name of the framework that it is written in.

    Raises:
      SubmissionError: it cannot be found, read or imported, or it lacks a function.
    """
    module = _import(reference, framework)
    path = _file_of(module, reference)
    name = path.parent.name if path.stem in ("submission", "__init__") else path.stem
    source = Source(path, {path.name: path.read_bytes()})
    if framework == JAX and hasattr(module, _FACTORY):
        return _from_factory(name, module, source, workload)
    functions: dict[str, Any] = {name: getattr(module, name, None) for name in (*_REQUIRED, *_OPTIONAL)}
    if reference in algorithm_names(framework) and functions["get_batch_size"] is None:
        functions["get_batch_size"] = lambda workload_name: workload.batch_size
    missing = [function for function in _REQUIRED if not callable(functions[function])]
    if missing:
        raise SubmissionError(
            f"submission {path} lacks {', '.join(missing)}",
            expected=f"the functions {', '.join(_REQUIRED)}, or an optax factory {_FACTORY}(hyperparameters, workload)",
        )
    submission = Submission(
        name=name,
        framework=framework,
        **functions,
        hyperparameters=_declared_hyperparameters(module),
        source=source,
    )
    _check_signatures(submission)
    return submission


def _from_factory(name: str, module: ModuleType, source: Source, workload: Workload) -> Submission:
    _check_accepts(source.path, _FACTORY, module.make_optimizer, positional=2, keywords=())
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
    """Names and defaults of the module's `Hyperparameters`, if that is a named tuple with a default for every field."""
    declared: Any = getattr(module, "Hyperparameters", None)
    defaults = getattr(declared, "_field_defaults", None)
    return defaults if defaults is not None and set(defaults) == set(declared._fields) else None


def _import(reference: str, framework: str) -> ModuleType:
    if reference in algorithm_names(framework):
        return importlib.import_module(f"{ENTRIES[framework].algorithms}.{reference}")
    if reference.endswith(".py") or "/" in reference:
        path = pathlib.Path(reference).expanduser()
        if not path.is_file():
            raise SubmissionError("config.submission: no such file", value=reference, expected="a readable Python file")
        return _import_file(path.resolve())
    try:
        return importlib.import_module(reference)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and f"{reference}.".startswith(f"{error.name}."):
            raise SubmissionError(
                "config.submission: unknown algorithm",
                value=reference,
                expected="a ready-made algorithm, the path of a .py file or a dotted module",
                remedy=did_you_mean(reference, algorithm_names(framework)),
            ) from error
        raise _import_failure(reference, error) from error


def _import_file(path: pathlib.Path) -> ModuleType:
    name = f"submission_{path.parent.name}_{path.stem}".replace("-", "_").replace(".", "_")
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None, path
    assert specification.loader is not None, path
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    try:
        specification.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _import_failure(str(path), error) from error
    return module


def _import_failure(reference: str, error: BaseException) -> SubmissionError:
    return SubmissionError(
        f"submission {reference} cannot be imported: {type(error).__name__}: {error}",
        remedy="Mend the file, or install what it needs.",
    )


def _file_of(module: ModuleType, reference: str) -> pathlib.Path:
    if getattr(module, "__file__", None) is None:
        raise SubmissionError("config.submission: a package without a file", value=reference)
    return pathlib.Path(str(module.__file__)).resolve()


def _check_signatures(submission: Submission) -> None:
    path = submission.source.path
    _check_accepts(path, "get_batch_size", submission.get_batch_size, positional=1, keywords=())
    _check_accepts(path, "init_optimizer_state", submission.init_optimizer_state, positional=5, keywords=())
    _check_accepts(path, "data_selection", submission.data_selection, positional=8, keywords=())
    _check_accepts(path, "update_params", submission.update_params, positional=0, keywords=_UPDATE_ARGUMENTS)
    if submission.prepare_for_eval is not None:
        _check_accepts(path, "prepare_for_eval", submission.prepare_for_eval, positional=0, keywords=_PREPARE_ARGUMENTS)


def _check_accepts(path: pathlib.Path, name: str, function: Any, *, positional: int, keywords: tuple[str, ...]) -> None:
    """Whether `function` can be called as the engine will call it; `train_state` is given only where it is taken."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # some functions written in C do not tell
        return
    takes_train_state = name == "update_params" and "train_state" in signature.parameters
    extra = {"train_state": None} if takes_train_state else {}
    try:
        signature.bind(*[None] * positional, **dict.fromkeys(keywords), **extra)
    except TypeError as error:
        how = f"the keyword arguments {', '.join(keywords)}" if keywords else f"{positional} positional arguments"
        raise SubmissionError(
            f"submission {path}: {name}{signature} does not take what it will be given ({error})",
            expected=how,
        ) from error
