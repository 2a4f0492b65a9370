"""Errors for users are one line."""

import pytest

from algoperf_jax.errors import UserError, did_you_mean, nearest


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("a thing is odd"), "a thing is odd"),
        (UserError("config.x", value=3), "config.x: found 3"),
        (UserError("config.x", value=None, expected="an int"), "config.x: found None; expected an int"),
        (UserError("config.x", value="y", expected="z", remedy="Do w."), "config.x: found 'y'; expected z. Do w."),
        (UserError("several\n lines", remedy="of\ttext"), "several lines. of text"),
    ],
)
def test_line(error: UserError, line: str) -> None:
    assert str(error) == line


def test_nearest_name() -> None:
    assert nearest("ogbg_gelo", ["ogbg_gelu", "mnist"]) == "ogbg_gelu"
    assert nearest("xyz", ["ogbg_gelu", "mnist"]) is None
    assert did_you_mean("mnst", ["mnist", "cifar"]) == "Did you mean 'mnist'?"
    assert did_you_mean("xyz", ["mnist", "cifar"]) == "Known: cifar, mnist."
