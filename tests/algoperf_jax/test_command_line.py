"""The common behavior of all commands: help, exit codes, one-line errors, reports."""

import pathlib
from collections.abc import Sequence

import pytest

from algoperf_jax import command_line
from algoperf_jax.errors import ConfigError


def parser() -> command_line.Parser:
    made = command_line.Parser("algoperf_jax.example", usage="[options]", description="An example.")
    made.add_argument("--steps", type=int)
    return made


def execute(arguments: Sequence[str], error: BaseException | None = None, code: int = 0) -> int:
    def run(given: Sequence[str]) -> int:
        parser().parse_args(given)
        if error is not None:
            raise error
        return code

    return command_line.execute(run, arguments, lambda rest: f"{parser().format_help()} and {rest}")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["--steps=1", "--help"], ["--help", "--steps=1"]])
def test_help_is_shown_at_any_position(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(arguments, RuntimeError("runs nothing")) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: python -m algoperf_jax.example [options]\n\nAn example.\n")
    assert out.endswith(f"and {['--steps=1'] * ('--steps=1' in arguments)}\n")


@pytest.mark.parametrize("code", [0, 1, 2])
def test_the_exit_code_is_that_of_the_command(code: int) -> None:
    assert execute(["--steps=1"], code=code) == code


@pytest.mark.parametrize(
    ("arguments", "error", "code", "line"),
    [
        (["--steps=1"], ConfigError("a key"), 2, "error: a key\n"),
        (["--steps=1"], KeyboardInterrupt(), 130, "error: interrupted; nothing is written\n"),
        (["--steps=x"], None, 2, "error: argument --steps: invalid int value: 'x'. python -m algoperf_jax.example"),
        (["--step=1"], None, 2, "error: unrecognized arguments: --step=1. python -m algoperf_jax.example --help"),
    ],
)
def test_errors_for_the_user_are_one_line(
    arguments: list[str],
    error: BaseException | None,
    code: int,
    line: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert execute(arguments, error) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(line)
    assert captured.err.count("\n") == 1


def test_a_defect_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        execute(["--steps=1"], ZeroDivisionError())


def test_reports(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "report.json"
    command_line.check_report("--json", None)
    command_line.check_report("--json", file)
    command_line.write_report(None, "text")
    command_line.write_report(file, "text")
    command_line.write_report(file, "more")
    assert file.read_text() == "more"
    assert list(tmp_path.iterdir()) == [file]
    for place in (tmp_path, tmp_path / "absent" / "report.json"):
        with pytest.raises(ConfigError, match=r"--json: found .*; expected a file in a folder that exists"):
            command_line.check_report("--json", place)
    with pytest.raises(ConfigError, match="cannot be written: No such file or directory"):
        command_line.write_report(tmp_path / "absent" / "report.json", "text")


def test_a_report_follows_a_link(tmp_path: pathlib.Path) -> None:
    link, target = tmp_path / "link", tmp_path / "target"
    link.symlink_to(target)
    command_line.write_report(link, "text")
    assert link.is_symlink()
    assert target.read_text() == "text"
