"""Tries a workload in a process of its own, so that its memory is measured by itself and its death ends nothing else.

A plain process rather than an executor: it tells how it died, says what it was doing, and can be ended when it is late.
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


def attempt_apart(config: Any, *, steps: int, timeout_sec: float) -> Attempt:
    """Does `attempt` in a new process.

    Args:
      config: a checked configuration.
      steps: to train.
      timeout_sec: after so long the process is ended, and the attempt has failed.

    Raises:
      UserError: as `attempt` does.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(sender, config, steps), name=f"trying {config.workload}")
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
        return Attempt(config.workload, f"not done after {timeout_sec:g} s; it was at: {doing} (see --timeout_sec)")
    except (EOFError, OSError):  # it has closed the pipe, or did not come to the end of a message
        process.join()
        return Attempt(config.workload, f"the process died, {_cause(process)}; it was at: {doing}")
    finally:
        _end(process)
        receiver.close()


def attempt_here(config: Any, *, steps: int, say: Any = lambda doing: None) -> Attempt:
    """Does `attempt` in this process, where files of the submission may import more while they run."""
    located = locate(config.submission, config.framework)
    with submission_imports(located):
        return attempt(config, located, steps=steps, say=say)


def _work(sender: Connection, config: Any, steps: int) -> None:
    # Ctrl-C reaches both processes, and the other one ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()  # says where it was when it died of a signal
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
    return f"{name} (out of memory?)" if name == "SIGKILL" else name


def _end(process: BaseProcess) -> None:
    """A process that has sent its result may still be ending: a thread of the submission's must not keep it."""
    process.join(timeout=1)
    process.kill()
    process.join()
    process.close()
