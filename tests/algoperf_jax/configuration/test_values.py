"""Values are converted to the type of a declared default."""

import math
from typing import Any

import pytest

from algoperf_jax.configuration.values import fit, literal, type_name


@pytest.mark.parametrize(
    ("text", "default", "value"),
    [
        ("1", 0.5, 1.0),
        ("1e-3", 0.5, 1e-3),
        ("nan", 0.5, math.nan),
        ("7", 3, 7),
        ("1e3", 3, 1000),
        ("7.0", 3, 7),
        ("true", False, True),
        ("0", True, False),
        ("relu", "gelu", "relu"),
        ("'3'", "gelu", "3"),
        ("0.8,1", (0.9, 0.999), (0.8, 1.0)),
        ("[0.8,0.9]", (0.9, 0.999), (0.8, 0.9)),
        ("(8,)", [4, 4], [8]),
        ("(1,relu)", (2, "gelu"), (1, "relu")),
        ("()", (0.9,), ()),
        ("anything", None, "anything"),
        ("None", None, None),
    ],
)
def test_a_value_gets_the_type_of_the_default(text: str, default: Any, value: Any) -> None:
    found = fit(literal(text), default)
    assert repr(found) == repr(value)  # types too, and nan is nan


@pytest.mark.parametrize(
    ("text", "default"),
    [
        ("fast", 0.5),
        ("None", 0.5),
        ("true", 0.5),
        ("5.5", 3),
        ("inf", 3),
        ("1e300", 3),
        ("true", 3),
        ("2", True),
        ("1.0", True),
        ("yes", True),
        ("3", "gelu"),
        ("a,b", "gelu"),
        ("0.9", (0.9, 0.999)),
        ("0.9,fast", (0.9, 0.999)),
        ("(1,5.5)", (1, 2)),
        (f"{10**400}", 0.5),
    ],
)
def test_a_value_of_another_type_is_refused(text: str, default: Any) -> None:
    with pytest.raises(ValueError):
        fit(literal(text), default)


@pytest.mark.parametrize(
    ("default", "name"),
    [(0.5, "float"), (True, "bool"), ((0.9, 0.99), "tuple of float"), ([1, "a"], "list"), ((), "tuple")],
)
def test_the_name_of_a_type_includes_the_elements(default: Any, name: str) -> None:
    assert type_name(default) == name
