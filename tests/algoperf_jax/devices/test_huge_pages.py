import os
import pathlib
import subprocess
import sys

import pytest

from algoperf_jax.devices.huge_pages import help_here

PROGRAM = """
import os, pathlib, sys
from algoperf_jax.devices.huge_pages import restart_with_them
restart_with_them(modes=pathlib.Path(sys.argv[1]))
print([os.getpid(), os.environ.get("GLIBC_TUNABLES"), sys.flags.dev_mode, sys.argv[2:]])
"""
ARGUMENTS = ["--config=mnist", "two words", ""]


def modes(folder: pathlib.Path, text: str) -> pathlib.Path:
    path = folder / "enabled"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("always [madvise] never\n", {}, True),
        ("always [madvise] never\n", {"GLIBC_TUNABLES": ""}, False),
        ("always [madvise] never\n", {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}, False),
        ("[always] madvise never\n", {}, False),
        ("always madvise [never]\n", {}, False),
    ],
)
def test_they_help_where_the_kernel_gives_them_to_those_who_ask(
    tmp_path: pathlib.Path, text: str, environment: dict[str, str], expected: bool
) -> None:
    assert help_here(environment, modes(tmp_path, text)) == expected


def test_they_do_not_help_where_the_kernel_has_none(tmp_path: pathlib.Path) -> None:
    assert not help_here({}, tmp_path / "no_such_file")


@pytest.mark.parametrize(("mode", "expected"), [("[madvise]", "glibc.malloc.hugetlb=1"), ("madvise", None)])
def test_a_restarted_process_keeps_its_number_and_arguments(
    tmp_path: pathlib.Path, mode: str, expected: str | None
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    command = [sys.executable, "-X", "dev", "-c", PROGRAM, str(modes(tmp_path, mode)), *ARGUMENTS]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    output, _ = process.communicate(timeout=60)
    assert output.strip() == str([process.pid, expected, True, ARGUMENTS])
