"""Finds uses of private attributes, and changes of the workload."""

import ast
from collections.abc import Iterator, Sequence

from algoperf_jax.rule_check.findings import Finding
from algoperf_jax.rule_check.modules import Module, Node, text_of

_QUEUE = "_build_input_queue"
_OF_NAMED_TUPLES = frozenset({"_asdict", "_fields", "_field_defaults", "_make", "_replace"})
_BY_NAME = ("getattr", "hasattr", "setattr", "delattr")


def check(modules: Sequence[Module]) -> Iterator[Finding]:
    """Finds private attributes of the workload and of other objects, and assignments to the workload's attributes."""
    own = {name for module in modules for name in _own_attributes(module)}
    for module in modules:
        foreign: dict[str, ast.AST] = {}
        for node in module.nodes:
            found = _of_workload(module, node)
            if found is not None:
                rule, message = found
                yield module.finding("error", rule, node.syntax, message)
            elif (name := _foreign_private(node, own)) is not None:
                foreign.setdefault(name, node.syntax)
        if foreign:
            what = f"uses private attributes of libraries, from here on: {', '.join(foreign)}"
            yield module.finding("note", "private-attribute", next(iter(foreign.values())), what)


def _of_workload(module: Module, node: Node) -> tuple[str, str] | None:
    """The rule and message if a node breaks a rule about the workload or the input queue."""
    syntax = node.syntax
    if isinstance(syntax, ast.Attribute):
        if syntax.attr == _QUEUE:
            return "input-queue", f"uses {_QUEUE}: batches come from the input queue passed to data_selection"
        if isinstance(syntax.ctx, ast.Store | ast.Del) and _leads_to_workload(module, syntax.value):
            return "workload-attribute", f"sets {ast.unparse(syntax)}: a submission must not change the workload"
        if _is_private(syntax.attr) and _is_given(module, syntax.value):
            return "private-attribute", f"uses the private attribute {ast.unparse(syntax)}"
    if isinstance(syntax, ast.Call):
        return _by_name(module, syntax)
    return None


def _by_name(module: Module, call: ast.Call) -> tuple[str, str] | None:
    """The same for `getattr(workload, ...)` and similar calls."""
    function = ast.unparse(call.func)
    if text_of(call.args[1] if len(call.args) > 1 else None) == _QUEUE:
        return "input-queue", f"uses {_QUEUE}: batches come from the input queue passed to data_selection"
    if not call.args or not _is_given(module, call.args[0]):
        return None
    if function in ("vars", "dir"):
        return "private-attribute", f"inspects the workload with {function}()"
    if function in ("setattr", "delattr") or function.endswith(("__setattr__", "__delattr__")):
        return "workload-attribute", f"sets an attribute with {function}: a submission must not change the workload"
    if function not in _BY_NAME and not function.endswith("__getattribute__"):
        return None
    name = text_of(call.args[1]) if len(call.args) > 1 else None
    if name is None:
        return "private-attribute", f"{function} on the workload with a computed name"
    return ("private-attribute", f"uses the private attribute {name} of the workload") if _is_private(name) else None


def _is_given(module: Module, expression: ast.AST) -> bool:
    """Whether an expression is one of the runner's objects."""
    return module.is_workload(expression) or (isinstance(expression, ast.Name) and expression.id == "input_queue")


def _leads_to_workload(module: Module, expression: ast.AST) -> bool:
    """Whether an expression is the workload or a part of it."""
    while isinstance(expression, ast.Attribute | ast.Subscript) and not module.is_workload(expression):
        expression = expression.value
    return module.is_workload(expression)


def _is_private(name: str) -> bool:
    return (name.startswith("_") and not name.endswith("__")) or name == "__dict__"


def _own_attributes(module: Module) -> Iterator[str]:
    """The private names that a file defines or assigns."""
    for node in module.nodes:
        syntax = node.syntax
        if isinstance(syntax, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield syntax.name
        elif isinstance(syntax, ast.Attribute | ast.Name) and isinstance(syntax.ctx, ast.Store):
            yield syntax.attr if isinstance(syntax, ast.Attribute) else syntax.id


def _foreign_private(node: Node, own: set[str]) -> str | None:
    """The name of a private attribute defined by neither the submission nor the language, or None."""
    syntax = node.syntax
    if not isinstance(syntax, ast.Attribute) or not _is_private(syntax.attr) or syntax.attr == "__dict__":
        return None
    return None if syntax.attr in own or syntax.attr in _OF_NAMED_TUPLES else syntax.attr
