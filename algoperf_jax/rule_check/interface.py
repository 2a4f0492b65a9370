"""Checks that a file defines the functions that the runner calls, with matching parameters."""

import ast
import inspect
from collections.abc import Iterator

from algoperf_jax.rule_check.findings import Finding
from algoperf_jax.rule_check.modules import Module
from algoperf_jax.submission.calls import ARGUMENTS, FACTORY, REQUIRED, why_not_callable

_DECORATORS_THAT_KEEP_ARGUMENTS = ("functools", "jax", "torch")


def check(module: Module) -> Iterator[Finding]:
    """Finds missing functions, unless there is an optax factory, and functions that cannot be called as needed.

    A name imported from another file is assumed to be correct; loading the submission checks it.
    """
    defined = module.own_names | set(module.imports)
    is_whole = FACTORY in defined or "*" in module.imports
    missing = [name for name in REQUIRED if name not in defined]
    if missing and not is_whole:
        what = f"the file lacks {', '.join(missing)}; expected {', '.join(REQUIRED)}, or an optax factory {FACTORY}"
        yield Finding("error", "missing-function", what, module.name)
    elif "get_batch_size" not in defined and not is_whole:
        what = "the file lacks get_batch_size, which AlgoPerf's runner needs; the workload's batch size is used here"
        yield Finding("note", "no-batch-size", what, module.name)
    for statement in module.top_level:
        if (
            isinstance(statement, ast.FunctionDef)
            and statement.name in ARGUMENTS
            and _keeps_arguments(module, statement)
        ):
            problem = why_not_callable(statement.name, _signature(statement.args))
            if problem is not None:
                what = f"{statement.name} does not accept its arguments ({problem[0]}); expected {problem[1]}"
                yield module.finding("error", "signature", statement, what)


def _keeps_arguments(module: Module, function: ast.FunctionDef) -> bool:
    names = (ast.unparse(node.func if isinstance(node, ast.Call) else node) for node in function.decorator_list)
    roots = (module.imports.get(name.partition(".")[0], "").partition(".")[0] for name in names)
    return all(root in _DECORATORS_THAT_KEEP_ARGUMENTS for root in roots)


def _signature(arguments: ast.arguments) -> inspect.Signature:
    kind = inspect.Parameter
    positional = [*arguments.posonlyargs, *arguments.args]
    first_default = len(positional) - len(arguments.defaults)
    parameters = [
        kind(
            argument.arg,
            kind.POSITIONAL_ONLY if index < len(arguments.posonlyargs) else kind.POSITIONAL_OR_KEYWORD,
            default=None if index >= first_default else kind.empty,
        )
        for index, argument in enumerate(positional)
    ]
    if arguments.vararg is not None:
        parameters.append(kind(arguments.vararg.arg, kind.VAR_POSITIONAL))
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        parameters.append(kind(argument.arg, kind.KEYWORD_ONLY, default=kind.empty if default is None else None))
    if arguments.kwarg is not None:
        parameters.append(kind(arguments.kwarg.arg, kind.VAR_KEYWORD))
    return inspect.Signature(parameters)
