"""Digests of what a program computes, which do not depend on how the program is written.

The digest of a StableHLO module is computed from what each result depends on: operations, their attributes and the
digests of their operands. It does not depend on the names of functions, nested functions, the order of independent
operations, unused results, and where arrays are placed.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

_CALLS = ("func.call", "call")
_PLACEMENT = ("mhlo.sharding", "sdy.sharding", "mhlo.frontend_attributes")


def digest(module: Any) -> str:
    """The SHA-256 of what `main` of a module (`Lowered.compiler_ir()`) returns, given its arguments."""
    functions = {str(op.attributes["sym_name"]): op.operation for op in module.body if "sym_name" in op.attributes}
    main = functions['"main"'].regions[0].blocks[0]
    arguments = [_hash("argument", str(number), str(value.type)) for number, value in enumerate(main.arguments)]
    return _hash("main", *arguments, *_results(main, arguments, {}, functions, depth=0))


def _results(
    block: Any, arguments: list[str], outer: Mapping[Any, str], functions: Mapping[str, Any], depth: int
) -> list[str]:
    """The digests of what the last operation of a block returns; `outer` are the digests of values from enclosing
    blocks.
    """
    known = {**outer, **dict(zip(block.arguments, arguments, strict=True))}
    for operation in (op.operation for op in block.operations):
        operands = [known[value] for value in operation.operands]
        if not list(operation.results) and operation.name.endswith("return"):
            return operands
        if operation.name in _CALLS:
            name = str(operation.attributes["callee"]).removeprefix("@").strip('"')
            body = functions[f'"{name}"'].regions[0].blocks[0]
            found = _results(body, operands, {}, functions, depth)
        else:
            inner = [
                part
                for region in operation.regions
                for nested in region.blocks
                for part in ("region", *_region(nested, known, functions, depth + 1))
            ]
            types = [str(result.type) for result in operation.results]
            whole = _hash(operation.name, *_attributes(operation), *types, *operands, *inner)
            found = [_hash(whole, str(number)) for number in range(len(types))]
        known |= dict(zip(operation.results, found, strict=True))
    raise ValueError("a block without return")


def _region(block: Any, outer: Mapping[Any, str], functions: Mapping[str, Any], depth: int) -> list[str]:
    arguments = [_hash("inner", str(depth), str(n), str(value.type)) for n, value in enumerate(block.arguments)]
    return _results(block, arguments, outer, functions, depth)


def _attributes(operation: Any) -> list[str]:
    # Iterating gives names, or pairs of names and values, depending on the version of jaxlib.
    names = [str(getattr(item, "name", item)) for item in operation.attributes]
    return sorted(f"{name}={operation.attributes[name]}" for name in names if name not in _PLACEMENT)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
