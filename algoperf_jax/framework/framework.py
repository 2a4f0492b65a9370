"""What a framework is to the engine, and the one place that chooses one.

Each framework is a module that defines `FRAMEWORK`, imported when a submission asks for it; nothing else in the engine
tells frameworks apart.
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
    """What joins a workload to a framework's submissions.

    Attributes:
      view: the workload as the submission sees it.
      make_backend: makes the device work that goes with the view, given what judges the parameters.
    """

    view: WorkloadView
    make_backend: Callable[[Evaluator], Backend]


@dataclasses.dataclass(frozen=True)
class Framework:
    """How submissions of one framework are run.

    Attributes:
      name: as configurations and directories of runs have it.
      start: `config -> None`, once in a process and before anything uses a device: sets the precision of products and
        joins the processes of a run.
      make_layout: `(config, workload) -> Layout`, the devices of the run and what is split over them.
      connect: `(config, workload, layout, metrics_logger) -> Connection`.
      agreement: how the processes of a run come to one reading of the clock.
      forget_compiled: drops the programs that are compiled in this process, so that the next trial pays for its own.
      watch_compilations: makes a counter of what is compiled from then on.
      count_host_reads: makes a context in which this thread's reads of the framework's arrays on the host are counted.
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
    """The framework of this name.

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
    except (ImportError, ValueError):  # something hides it
        return False
