"""Finds code that depends on the workload's name, other than the choice of a batch size."""

import ast
import re
from collections.abc import Iterator, Sequence

from algoperf_jax.rule_check.findings import Finding
from algoperf_jax.rule_check.modules import Module, Node, text_of

RULE = "workload-name"
_MAY_TELL_THEM_APART = ("get_batch_size", "get_eval_batch_size")
_NAME = re.compile(
    r"(criteo|fastmri|finewebedu|imagenet|librispeech|ogbg|wmt|mnist|cifar)(1tb|10)?(_\w+)?", re.IGNORECASE
)
_TEXT_METHODS = ("startswith", "endswith", "find", "index", "count", "get", "match", "search", "fullmatch", "__eq__")
_IDENTITY = ("builtins.type", "builtins.isinstance", "builtins.str", "builtins.repr", "builtins.format", "builtins.id")
_NAME_ATTRIBUTES = ("__class__", "__module__", "name", "base_name", "workload_name")
_DISPLAYS = ast.Dict | ast.Set | ast.List | ast.Tuple


def check(modules: Sequence[Module]) -> Iterator[Finding]:
    """Finds branches on names of workloads, and code that asks for a workload's name or class."""
    exempt = _exempt_functions(modules)
    tables = {name for module in modules for name in _tables(module)}
    for module in modules:
        lines: set[int] = set()
        for node in module.nodes:
            if exempt.isdisjoint(node.function_names):
                message = _branch(module, node) or _identity(module, node) or _table_use(node, tables)
                line = getattr(node.syntax, "lineno", 0)
                if message is not None and line not in lines:
                    lines.add(line)  # once is enough for `in ("ogbg", "wmt")`
                    yield module.finding("error", RULE, node.syntax, message)


def is_workload_name(text: str | None) -> bool:
    """Whether a text is, or begins with, the name of a workload of the benchmark."""
    return text is not None and _NAME.fullmatch(text) is not None


def _exempt_functions(modules: Sequence[Module]) -> set[str]:
    """The functions that may distinguish workloads, and the helpers that only these use."""
    uses: dict[str, list[tuple[str, ...]]] = {}
    for module in modules:
        for node in module.nodes:
            if isinstance(node.syntax, ast.Name | ast.Attribute) and isinstance(node.syntax.ctx, ast.Load):
                name = node.syntax.id if isinstance(node.syntax, ast.Name) else node.syntax.attr
                uses.setdefault(name, []).append(node.function_names)
    functions = {
        statement.name for module in modules for statement in module.top_level if isinstance(statement, ast.FunctionDef)
    }
    exempt: set[str] = set(_MAY_TELL_THEM_APART)
    while True:
        helpers = {
            name
            for name in functions - exempt
            if name in uses and not any(exempt.isdisjoint(around) for around in uses[name])
        }
        if not helpers:
            return exempt
        exempt |= helpers


def _branch(module: Module, node: Node) -> str | None:
    """The message about a comparison with, or a lookup by, the name of a workload, or None."""
    text = text_of(node.syntax)
    if not is_workload_name(text):
        return None
    above, below = node.parent, node.syntax
    while isinstance(above, ast.Set | ast.List | ast.Tuple):
        above, below = module.parents[above], above
    found = (
        isinstance(above, ast.Compare | ast.MatchValue)
        or (isinstance(above, ast.Subscript) and above.slice is below)
        or (isinstance(above, ast.Dict) and below in above.keys and bool(node.functions))
        or (isinstance(above, ast.Call) and getattr(above.func, "attr", None) in _TEXT_METHODS)
    )
    return f"distinguishes workloads by the name {text!r}, outside get_batch_size" if found else None


def _tables(module: Module) -> Iterator[str]:
    """Top-level names of tables or lists that contain names of workloads."""
    for statement in module.top_level:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            displays = [node for node in ast.walk(statement.value) if isinstance(node, _DISPLAYS)]
            texts = (text_of(item) for display in displays for item in _items(display))
            if any(is_workload_name(text) for text in texts):
                targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                yield from (target.id for target in targets if isinstance(target, ast.Name))


def _items(display: ast.AST) -> Sequence[ast.expr | None]:
    if isinstance(display, ast.Dict):
        return display.keys
    return display.elts if isinstance(display, ast.Set | ast.List | ast.Tuple) else ()


def _table_use(node: Node, tables: set[str]) -> str | None:
    if not node.functions or not isinstance(getattr(node.syntax, "ctx", None), ast.Load):
        return None
    name = getattr(node.syntax, "id", getattr(node.syntax, "attr", None))
    return f"uses {name}, which names workloads, outside get_batch_size" if name in tables else None


def _identity(module: Module, node: Node) -> str | None:
    """The message about code that asks which workload it is, or None."""
    syntax = node.syntax
    if isinstance(syntax, ast.Attribute) and syntax.attr in _NAME_ATTRIBUTES and module.is_workload(syntax.value):
        return f"asks which workload it is: workload.{syntax.attr}"
    if isinstance(syntax, ast.Name) and syntax.id == "workload_name" and isinstance(syntax.ctx, ast.Load):
        return "asks which workload it is: workload_name, outside get_batch_size"
    if isinstance(syntax, ast.FormattedValue) and module.is_workload(syntax.value):
        return "asks which workload it is: the workload as text"
    if isinstance(syntax, ast.Call) and any(module.is_workload(argument) for argument in syntax.args):
        called = module.dotted(Node(syntax.func, syntax, node.functions))
        if called in _IDENTITY:
            return f"asks which workload it is: {called.removeprefix('builtins.')}(workload)"
    return None
