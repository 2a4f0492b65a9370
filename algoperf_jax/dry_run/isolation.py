"""Runs an attempt in its own process, so that its memory is measured separately and a crash is contained.

A plain process rather than an executor: it reports what it is doing and how it died, and can be killed after a timeout.
"""

import dataclasses
import faulthandler
import multiprocessing
import signal
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from algoperf_jax.dry_run.attempt import Attempt, attempt
from algoperf_jax.errors import UserError
from algoperf_jax.submission.imports import submission_imports
from algoperf_jax.submission.locate import locate


@dataclasses.dataclass(frozen=True)
class _Refusal:
    reason: str


def attempt_isolated(config: Any, *, steps: int, timeout_sec: float) -> Attempt:
    """Runs `attempt` in a new process.

    Args:
      config: a checked configuration.
      steps: number of training steps.
      timeout_sec: time limit; after it the process is killed and the attempt counts as failed.

    Returns:
      The attempt; if the process died or timed out, a failed one.

    Raises:
      UserError: raised by `attempt`.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(sender, config, steps), name=f"dry run of {config.workload}")
    process.start()
    sender.close()
    doing, deadline = "starting", time.monotonic() + timeout_sec
    try:
        while receiver.poll(max(0.0, deadline - time.monotonic())):
            message = receiver.recv()
            if isinstance(message, Attempt):
                return message
            if isinstance(message, _Refusal):
                raise UserError(message.reason)
            doing = message
        process.kill()
        return Attempt(config.workload, f"not finished after {timeout_sec:g} s, during: {doing} (see --timeout_sec)")
    except (EOFError, OSError):  # it closed the pipe, or died while it sent a message
        process.join()
        return Attempt(config.workload, f"the process died ({_cause(process)}) during: {doing}")
    finally:
        _end(process)
        receiver.close()


def attempt_here(config: Any, *, steps: int, say: Any = lambda doing: None) -> Attempt:
    """Runs `attempt` in this process, with the submission's own imports available."""
    located = locate(config.submission, config.framework)
    with submission_imports(located):
        return attempt(config, located, steps=steps, say=say)


def _work(sender: Connection, config: Any, steps: int) -> None:
    # Ctrl-C reaches both processes; the parent ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()  # prints the traceback if a signal kills the process
    try:
        result = attempt_here(config, steps=steps, say=sender.send)
    except UserError as error:
        result = _Refusal(str(error))
    sender.send(result)


def _cause(process: BaseProcess) -> str:
    code = process.exitcode
    if code is None or code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
    return f"{name}, out of memory?" if name == "SIGKILL" else name


def _end(process: BaseProcess) -> None:
    """Ends a process, even if a thread of the submission would keep it alive after its result."""
    process.join(timeout=1)
    process.kill()
    process.join()
    process.close()
