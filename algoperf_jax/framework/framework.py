"""The interface of a framework to the engine, and the only place that selects one.

Each framework is a module that defines `FRAMEWORK`, imported when a submission needs it; nothing else in the engine
distinguishes frameworks.
"""

import dataclasses
import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

from algoperf_jax.devices.compile_watch import CompileWatch
from algoperf_jax.devices.evaluation import Evaluator
from algoperf_jax.devices.host_reads import CountHostReads
from algoperf_jax.devices.mesh import Layout
from algoperf_jax.errors import SubmissionError
from algoperf_jax.framework.workload_view import MetricsLogger, WorkloadView
from algoperf_jax.submission.framework_names import WAYS_TO_RUN
from algoperf_jax.trial.backend import Backend
from algoperf_jax.trial.loop import Agree
from algoperf_jax.workload import Workload


@dataclasses.dataclass(frozen=True)
class Connection:
    """Connects a workload to the submissions of a framework.

    Attributes:
      view: the workload as the submission sees it.
      make_backend: makes the backend for the view, given the evaluator.
    """

    view: WorkloadView
    make_backend: Callable[[Evaluator], Backend]


@dataclasses.dataclass(frozen=True)
class Framework:
    """The functions that run submissions of one framework.

    Attributes:
      name: name in configurations and run directories.
      start: `config -> None`, called once per process before any use of a device: sets the precision of matrix products
        and joins the processes of a run.
      make_layout: `(config, workload) -> Layout`, the devices of the run and what is split over them.
      connect: `(config, workload, layout, metrics_logger) -> Connection`.
      agreement: makes the function by which the processes of a run agree on a clock reading.
      forget_compiled: drops the programs compiled in this process, so that the next trial compiles its own.
      watch_compilations: makes a counter of compilations from then on.
      count_host_reads: makes a context that counts this thread's reads of the framework's arrays on the host.
    """

    name: str
    start: Callable[[Any], None]
    make_layout: Callable[[Any, Workload], Layout]
    connect: Callable[[Any, Workload, Layout, MetricsLogger | None], Connection]
    agreement: Callable[[], Agree]
    forget_compiled: Callable[[], None]
    watch_compilations: Callable[[], CompileWatch]
    count_host_reads: CountHostReads


def load_framework(name: str) -> Framework:
    """Imports the framework of this name.

    Raises:
      SubmissionError: its library is not installed.
    """
    entry = WAYS_TO_RUN[name]
    if not _is_installed(entry.library):
        raise SubmissionError(
            f"a {name} submission needs {entry.library}, which is not installed",
            remedy=f"Install it with: {entry.install}",
        )
    return importlib.import_module(entry.module).FRAMEWORK


def _is_installed(library: str) -> bool:
    try:
        return importlib.util.find_spec(library) is not None
    except (ImportError, ValueError):  # the module is blocked
        return False
