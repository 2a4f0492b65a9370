"""The syntax tree of a file, with what the rules need to know about its names."""

import ast
import builtins
import dataclasses
import functools
from collections.abc import Iterator, Mapping

from algoperf_jax.rule_check.findings import Finding, Severity

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_CALLED_WITH_WORKLOAD_FIRST = ("init_optimizer_state", "update_params", "prepare_for_eval", "data_selection")


@dataclasses.dataclass(frozen=True)
class Node:
    """A node of a syntax tree with its context.

    Attributes:
      syntax: the node.
      parent: the node that contains it.
      functions: the enclosing functions, outermost first.
    """

    syntax: ast.AST
    parent: ast.AST
    functions: tuple[Function, ...]

    @property
    def function_names(self) -> tuple[str, ...]:
        """Names of the enclosing functions, without lambdas."""
        return tuple(function.name for function in self.functions if not isinstance(function, ast.Lambda))


@dataclasses.dataclass(frozen=True, eq=False)
class Module:
    """One file of a submission.

    Attributes:
      name: the file's name in findings.
      tree: its syntax tree.
    """

    name: str
    tree: ast.Module

    def finding(self, severity: Severity, rule: str, node: ast.AST, message: str) -> Finding:
        """A finding about a node of this file."""
        return Finding(severity, rule, " ".join(message.split()), self.name, getattr(node, "lineno", 0))

    @functools.cached_property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes except those that run only when the file is the main program."""
        return tuple(_walk(self.tree, self.tree, ()))

    @functools.cached_property
    def parents(self) -> Mapping[ast.AST, ast.AST]:
        """The parent of each node."""
        return {node.syntax: node.parent for node in self.nodes}

    @functools.cached_property
    def imports(self) -> Mapping[str, str]:
        """Name in this file -> dotted name that it was imported from; relative imports begin with dots."""
        found: dict[str, str] = {}
        for node in (node.syntax for node in self.nodes):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    first = alias.name.partition(".")[0]
                    found |= {alias.asname: alias.name} if alias.asname else {first: first}
            elif isinstance(node, ast.ImportFrom):
                base = "." * node.level + (node.module or "")
                found |= {alias.asname or alias.name: f"{base}.{alias.name}" for alias in node.names}
        return found

    @functools.cached_property
    def top_level(self) -> tuple[ast.stmt, ...]:
        """The statements outside classes that run on import, including those under `if` and `try`."""
        return tuple(_statements(self.tree.body))

    @functools.cached_property
    def own_names(self) -> frozenset[str]:
        """The names that the file defines at top level."""
        return frozenset(name for statement in self.top_level for name in _defined_by(statement))

    @functools.cached_property
    def workload_names(self) -> frozenset[str]:
        """Names that refer to the workload."""
        names = {"workload"}
        for statement in self.top_level:
            if isinstance(statement, ast.FunctionDef) and statement.name in _CALLED_WITH_WORKLOAD_FIRST:
                names |= {argument.arg for argument in [*statement.args.posonlyargs, *statement.args.args][:1]}
        for node in (node.syntax for node in self.nodes):
            if isinstance(node, ast.arg):
                if node.annotation is not None and ast.unparse(node.annotation).strip("'").endswith("Workload"):
                    names.add(node.arg)
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id in names:
                names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        return frozenset(names)

    def is_workload(self, expression: ast.AST) -> bool:
        """Whether an expression is a name of the workload, including `self.workload`."""
        if isinstance(expression, ast.Name):
            return expression.id in self.workload_names
        return isinstance(expression, ast.Attribute) and expression.attr in ("workload", "_workload")

    def dotted(self, node: Node) -> str | None:
        """The dotted name that an expression means, such as `os.path.join`, if it starts at an import or a builtin."""
        names: list[str] = []
        expression = node.syntax
        while (step := _attribute_access(expression)) is not None:
            expression, name = step
            names.insert(0, name)
        if not isinstance(expression, ast.Name):
            return None
        first = expression.id
        if any(first in self._bound[function] for function in node.functions):
            return None
        if first in self.imports:
            return ".".join([self.imports[first], *names])
        if first not in self.own_names and hasattr(builtins, first):
            return ".".join(["builtins", first, *names])
        return None

    @functools.cached_property
    def _bound(self) -> Mapping[Function, frozenset[str]]:
        """The local names of each function."""
        return {node.syntax: _bound(node.syntax) for node in self.nodes if isinstance(node.syntax, Function)}

    @functools.cached_property
    def chains(self) -> tuple[tuple[Node, str], ...]:
        """Every name, with all attributes that follow it, that means an import or a builtin."""
        found = []
        for node in self.nodes:
            longer = _attribute_access(node.parent)
            if (longer is None or longer[0] is not node.syntax) and (name := self.dotted(node)):
                found.append((node, name))
        return tuple(found)


def text_of(node: ast.AST | None) -> str | None:
    """The value of a string literal, else None."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _attribute_access(expression: ast.AST) -> tuple[ast.AST, str] | None:
    """Object and name of `object.name` or `getattr(object, "name")`."""
    if isinstance(expression, ast.Attribute):
        return expression.value, expression.attr
    if isinstance(expression, ast.Call) and getattr(expression.func, "id", None) == "getattr":
        name = text_of(expression.args[1] if len(expression.args) > 1 else None)
        return None if name is None else (expression.args[0], name)
    return None


def _walk(node: ast.AST, parent: ast.AST, functions: tuple[Function, ...]) -> Iterator[Node]:
    if isinstance(node, ast.If) and ast.unparse(node.test).replace("'", '"') == '__name__ == "__main__"':
        return
    yield Node(node, parent, functions)
    inner = (*functions, node) if isinstance(node, Function) else functions
    for field, value in ast.iter_fields(node):
        # Decorators, defaults and annotations are evaluated in the enclosing scope.
        around = inner if field in ("body", "args") else functions
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _walk(child, node, around)


def _defined(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        yield statement
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for field in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(statement, field, []))
            for handler in getattr(statement, "handlers", []):
                yield from _statements(handler.body)


def _defined_by(statement: ast.stmt) -> Iterator[str]:
    yield from _defined(statement)
    if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        for child in ast.iter_child_nodes(statement):
            if not isinstance(child, ast.stmt | ast.ExceptHandler):
                yield from (name for node in ast.walk(child) for name in _defined(node))


def _bound(function: Function) -> frozenset[str]:
    """The parameters of a function, and the names assigned in it."""
    found = {argument.arg for argument in ast.walk(function.args) if isinstance(argument, ast.arg)}
    body = function.body if isinstance(function.body, list) else [function.body]
    found |= {name for part in body for node in ast.walk(part) for name in _defined(node)}
    declared_elsewhere = {
        name for node in ast.walk(function) if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names
    }
    return frozenset(found - declared_elsewhere)
