"""Values of keys and hyperparameters: parses them from text, and converts them to a declared type.

An int is a whole number in any notation: `1000`, `1e3` and `1000.0` are the same, `5.5` is an error. A float is any
number, including nan and infinity. A bool is `true`, `false`, `True`, `False`, `1` or `0`.
"""

from collections.abc import Sequence
from typing import Any

_BOOLS = {"true": True, "false": False}
_BRACKETS = {"(": ")", "[": "]"}
_LARGEST_EXACT = 2.0**53


def parse(text: str, wanted: type) -> Any:
    """Parses a value of type int, float, bool or str.

    Raises:
      ValueError: the text is not a value of this type.
    """
    if wanted is str:
        return text
    return fit(literal(text), wanted())


def literal(text: str) -> Any:
    """Parses a value of unknown type: None, a bool, a number, a tuple, a list, or else text.

    `(a,b)` and `a,b` are tuples, `[a,b]` is a list; both may nest. Quotes make any value text.
    """
    text = text.strip()
    if text in ("None", "none"):
        return None
    if text.lower() in _BOOLS:
        return _BOOLS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    bare = _elements(text)
    if bare is not None and len(bare) > 1:
        return _sequence(tuple, bare)
    if len(text) > 1 and _BRACKETS.get(text[0]) == text[-1]:
        elements = _elements(text[1:-1])
        if elements is not None:
            return _sequence(tuple if text[0] == "(" else list, elements)
    return text


def fit(value: Any, default: Any) -> Any:
    """Converts a value to the type of a default; elements of a tuple or list to the type of the default's elements.

    A default that is None or of any other type declares none: the value is returned unchanged.

    Raises:
      ValueError: the value cannot be converted without loss.
    """
    if isinstance(default, bool):
        if isinstance(value, bool) or (isinstance(value, int) and value in (0, 1)):
            return bool(value)
    elif isinstance(default, int):
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, float) and value.is_integer() and abs(value) <= _LARGEST_EXACT:
            return int(value)
    elif isinstance(default, float):
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value if isinstance(value, float) else _float(value)
    elif isinstance(default, str):
        if isinstance(value, str):
            return value
    elif isinstance(default, tuple | list):
        if isinstance(value, tuple | list):
            example = default[0] if len({type(element) for element in default}) == 1 else None
            return type(default)(fit(element, example) for element in value)
    else:
        return value
    raise ValueError(value)


def type_name(default: Any) -> str:
    """The name of a default's type, for error messages."""
    name = type(default).__name__
    kinds = {type(element).__name__ for element in default} if isinstance(default, tuple | list) else set()
    return f"{name} of {kinds.pop()}" if len(kinds) == 1 else name


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(value) from error


def _sequence(kind: type, elements: Sequence[str]) -> Any:
    """Parses a tuple or list from its elements; a trailing comma adds none."""
    return kind(literal(element) for element in (elements if elements[-1] else elements[:-1]))


def _elements(text: str) -> list[str] | None:
    """Splits text at commas outside brackets and quotes; None if these do not match."""
    parts, closing, quote = [""], [], ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in _BRACKETS:
            closing.append(_BRACKETS[character])
        elif character in _BRACKETS.values() and (not closing or closing.pop() != character):
            return None
        if character == "," and not closing and not quote:
            parts.append("")
        else:
            parts[-1] += character
    return None if closing or quote else [part.strip() for part in parts]
