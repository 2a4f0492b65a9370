"""Large buffers in huge pages, which Linux fills with one page fault where small pages take 512.

XLA on the CPU and PyTorch allocate the temporary buffers of each step with malloc and free them after it. glibc returns
large ones to the system, so that every step touches new pages, and the kernel has to clear each one. With huge pages
that takes half the time or less; BUILD.md has measurements.

glibc reads the setting when a process starts, so a process without it has to start again.
"""

import os
import pathlib
import sys
from collections.abc import Mapping

VARIABLE = "GLIBC_TUNABLES"
"""Where it is set already, to whatever value, the user has decided."""
SETTING = "glibc.malloc.hugetlb=1"
"""malloc asks for transparent huge pages; known to glibc since 2.35, ignored by older versions."""

_MODES = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")


def help_here(environment: Mapping[str, str], modes: pathlib.Path = _MODES) -> bool:
    """Whether the setting is missing and would have an effect.

    Args:
      environment: variables of the process.
      modes: the kernel's file of the modes of huge pages, the chosen one in brackets. In the mode `always` there are
        huge pages without asking, in `never` there are none.
    """
    if VARIABLE in environment:
        return False
    try:
        return "[madvise]" in modes.read_text()
    except OSError:  # no Linux, or a kernel without huge pages
        return False


def restart_with_them(environment: Mapping[str, str] = os.environ, modes: pathlib.Path = _MODES) -> None:
    """Where huge pages help, starts this process again with them, under the same process number; else returns.

    Call it first, while nothing is lost by it: before files are opened or threads started.

    Args:
      environment: variables of the process.
      modes: as in `help_here`.
    """
    if help_here(environment, modes):
        arguments = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, arguments, {**environment, VARIABLE: SETTING})
