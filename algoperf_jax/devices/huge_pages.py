"""Puts large buffers into huge pages, which Linux fills with one page fault where small pages take 512.

XLA on the CPU and PyTorch allocate the temporary buffers of each step with malloc and free them afterwards. glibc
returns large ones to the system, so every step touches new pages, each of which the kernel must clear. With huge pages
the kernel needs about half the time; docs/performance.md has measurements.

glibc reads the setting when a process starts, so a process without it must restart.
"""

import os
import pathlib
import sys
from collections.abc import Mapping

VARIABLE = "GLIBC_TUNABLES"
"""If it is already set, to any value, the user has decided."""
SETTING = "glibc.malloc.hugetlb=1"
"""Makes malloc request transparent huge pages; supported by glibc since 2.35, ignored by older versions."""

_MODES = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")


def help_here(environment: Mapping[str, str], modes: pathlib.Path = _MODES) -> bool:
    """Whether the setting is missing and would have an effect.

    Args:
      environment: environment variables of the process.
      modes: the kernel's file of huge-page modes, with the active one in brackets. In the mode `always` huge pages are
        used without a request, in `never` not at all.
    """
    if VARIABLE in environment:
        return False
    try:
        return "[madvise]" in modes.read_text()
    except OSError:  # not Linux, or a kernel without huge pages
        return False


def restart_with_them(environment: Mapping[str, str] = os.environ, modes: pathlib.Path = _MODES) -> None:
    """Restarts this process with huge pages, keeping its process id, if they would help; otherwise returns.

    Call it first, before files are opened or threads started.

    Args:
      environment: environment variables of the process.
      modes: as in `help_here`.
    """
    if help_here(environment, modes):
        arguments = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, arguments, {**environment, VARIABLE: SETTING})
