"""Checks the arguments and results of calls against the shapes and types in jaxtyping's annotations."""

import contextlib
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

import flax.linen as nn
import jaxtyping
import torch


def mismatches(
    function: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any], result: Any
) -> list[str]:
    """The names of arguments that do not match their annotations, and "return" if the result does not."""
    signature = inspect.signature(function)
    bound = signature.bind(*arguments, **named)
    values = {**bound.arguments, "return": result}
    annotations = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    annotations["return"] = signature.return_annotation
    with jaxtyping.jaxtyped("context"):
        return [name for name, value in values.items() if not _matches(value, annotations[name])]


def _matches(value: Any, annotation: Any) -> bool:
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return any(_matches(value, part) for part in parts)
    if origin is tuple:
        return len(value) == len(parts) and all(_matches(*pair) for pair in zip(value, parts, strict=True))
    if origin is list:
        return all(_matches(one, parts[0]) for one in value)
    if not isinstance(annotation, type) or annotation is inspect.Parameter.empty or origin is not None:
        return True
    return isinstance(value, annotation)


@contextlib.contextmanager
def checked_flax() -> Iterator[set[str]]:
    """Checks every call of this project's flax modules; yields the names of the classes that were called."""
    called: set[str] = set()

    def check(call: Callable[..., Any], arguments: Any, named: Any, context: nn.module.InterceptorContext) -> Any:
        result = call(*arguments, **named)
        kind = type(context.module)
        if context.method_name == "__call__" and kind.__module__.startswith("workloads."):
            called.add(kind.__name__)
            wrong = mismatches(kind.__call__, (context.module, *arguments), named, result)
            assert not wrong, f"{kind.__name__}: {', '.join(wrong)}"
        return result

    with nn.intercept_methods(check):
        yield called


@contextlib.contextmanager
def checked_torch() -> Iterator[set[str]]:
    """The same for modules of PyTorch."""
    called: set[str] = set()

    def check(module: torch.nn.Module, arguments: Any, named: Any, result: Any) -> None:
        kind = type(module)
        if kind.__module__.startswith("torch_compat."):
            called.add(kind.__name__)
            wrong = mismatches(kind.forward, (module, *arguments), named, result)
            assert not wrong, f"{kind.__name__}: {', '.join(wrong)}"

    handle = torch.nn.modules.module.register_module_forward_hook(check, with_kwargs=True)
    try:
        yield called
    finally:
        handle.remove()
