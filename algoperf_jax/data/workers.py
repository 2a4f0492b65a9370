"""Makes rows of a batch in worker processes.

A worker is a fresh interpreter that receives a picklable function once, then chunks of requests through a pipe; it
writes rows into memory that it shares with this process. Workers are not forked from a process that runs JAX, and do
not import its main module. The shared memory has no name, so it disappears with the last process that uses it, and a
worker exits when its pipe is closed, however this process ended.
"""

import contextlib
import dataclasses
import mmap
import multiprocessing.connection
import os
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from algoperf_jax.errors import DataError, UserError

SLOT_BYTES = 1 << 23
"""Size of the memory that each worker shares with this process; a chunk of rows must fit into it."""
_ROWS_PER_CHUNK = 8
"""Few, so that all workers finish a batch at about the same time."""
_FEWER_WORKERS = "Signal 9 often means out of memory: try fewer workers with --config.input.workers."
_SINGLE_THREADED = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class MakeRow(Protocol):
    """Makes one row: `(request, row) -> None` fills `row`. Picklable, pure, and the same in every process."""

    def __call__(self, request: Any, row: np.ndarray) -> None: ...


def usable_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclasses.dataclass(frozen=True)
class _Chunk:
    first: int
    requests: Sequence[Any]


class WorkerPool:
    """Worker processes, started at the first call of `fill`. Thread-safe.

    Args:
      count: number of processes; 0 makes all rows in the calling thread.
      remedy: what to do when a process was killed, for errors.
    """

    def __init__(self, count: int, *, remedy: str = _FEWER_WORKERS) -> None:
        self.count = count
        self._remedy = remedy
        self._lock = threading.Lock()
        self._crew: _Crew | None = None

    def fill(self, make_row: MakeRow, requests: Sequence[Any], out: np.ndarray) -> None:
        """Makes row `out[i]` from `requests[i]` with `make_row`; returns when all rows are made.

        Raises:
          UserError: raised by `make_row` for one of the requests.
          DataError: a worker died; the message names the requests it was working on.
        """
        if len(requests) != len(out):
            raise ValueError(f"{len(requests)} requests for {len(out)} rows")
        if self.count == 0 or out[:1].nbytes > SLOT_BYTES:
            for request, row in zip(requests, out, strict=True):
                make_row(request, row)
            return
        size = min(_ROWS_PER_CHUNK, SLOT_BYTES // max(1, out[:1].nbytes))
        chunks = [_Chunk(first, requests[first : first + size]) for first in range(0, len(requests), size)]
        self._started().distribute(make_row, chunks, out)

    def close(self) -> None:
        """Ends the processes and waits for them; the next call of `fill` starts new ones."""
        with self._lock:
            if self._crew is not None:
                self._crew.end(RuntimeError("the pool of workers was closed"))
                self._crew = None

    def _started(self) -> "_Crew":
        with self._lock:
            if self._crew is None or self._crew.failure is not None:
                self._crew = _Crew([_Worker(self._remedy) for _ in range(self.count)])
                # When the pool is garbage-collected or the interpreter exits.
                weakref.finalize(self, self._crew.end, RuntimeError("the pool of workers is gone"))
            return self._crew


class _Crew:
    """Processes that start and end together.

    Attributes:
      failure: why they were ended, or None; raised in threads that still wait for rows.
    """

    def __init__(self, workers: "Sequence[_Worker]") -> None:
        self.failure: BaseException | None = None
        self._lock = threading.Lock()
        self._workers = workers
        self._idle: queue.SimpleQueue[_Worker | None] = queue.SimpleQueue()
        for worker in workers:
            self._idle.put(worker)

    def distribute(self, make_row: MakeRow, chunks: Sequence[_Chunk], out: np.ndarray) -> None:
        """Distributes all chunks to free workers and collects the rows."""
        todo = list(chunks)[::-1]
        busy: dict[Any, tuple[_Worker, _Chunk]] = {}
        try:
            while todo or busy:
                # Other threads may be using all workers; then wait for one to be returned.
                while todo and (worker := self._take(block=not busy)) is not None:
                    chunk = busy[worker.connection] = worker, todo.pop()
                    worker.send(make_row, chunk[1], out)
                for connection in multiprocessing.connection.wait(list(busy)):
                    worker, chunk = busy[connection]
                    worker.receive(chunk, out)
                    del busy[connection]
                    self._idle.put(worker)
        except BaseException as error:
            # The other workers' answers will not be read, so no worker can be used again.
            self.end(error)
            if self.failure is error or self.failure is None:
                raise
            raise self.failure from None

    def end(self, reason: BaseException) -> None:
        """Ends all processes at once, and wakes up the threads that wait for one."""
        with self._lock:
            if self.failure is None:
                self.failure = reason
                for worker in self._workers:
                    worker.end()
                self._idle.put(None)

    def _take(self, *, block: bool) -> "_Worker | None":
        try:
            worker = self._idle.get(block=block)
        except queue.Empty:
            return None
        if worker is None:
            self._idle.put(None)  # for the next thread
            assert self.failure is not None, "a crew ends for a reason"
            raise self.failure
        return worker


class _Worker:
    """A worker as seen from this process: its pipe and memory."""

    def __init__(self, remedy: str) -> None:
        self._remedy = remedy
        ours, theirs = socket.socketpair()
        with theirs, tempfile.TemporaryFile() if not hasattr(os, "memfd_create") else _unnamed_memory() as file:
            os.ftruncate(file.fileno(), SLOT_BYTES)
            self._memory = mmap.mmap(file.fileno(), SLOT_BYTES)
            descriptors = (theirs.fileno(), file.fileno())
            program = f"from algoperf_jax.data.worker_process import serve; serve({descriptors[0]}, {descriptors[1]})"
            environment = dict.fromkeys(_SINGLE_THREADED, "1")
            path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", program],
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **environment, "PYTHONPATH": path},
                # Only this process handles Ctrl-C; it then closes the pipe.
                start_new_session=True,
            )
        self.connection = multiprocessing.connection.Connection(ours.detach())
        self._known: MakeRow | None = None

    def send(self, make_row: MakeRow, chunk: _Chunk, out: np.ndarray) -> None:
        """Sends a chunk of requests, and `make_row` if the worker does not have it from the last chunk."""
        new = None if make_row is self._known else make_row
        self._known = make_row
        with contextlib.suppress(OSError):  # A dead worker is detected when its answer is missing.
            self.connection.send((new, chunk.requests, out.dtype.str, out.shape[1:]))

    def receive(self, chunk: _Chunk, out: np.ndarray) -> None:
        """Receives the rows of a chunk."""
        try:
            answer = self.connection.recv()
        except (EOFError, OSError):
            answer = None
        if isinstance(answer, UserError):
            raise answer
        if isinstance(answer, str):
            raise RuntimeError(f"a worker process failed:\n{answer}")
        if answer is None:
            code = self._process.wait()
            cause = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            asked = ", ".join(str(request) for request in chunk.requests)
            raise DataError(
                f"a worker process of the input pipeline {cause} while it made one of: {asked}", remedy=self._remedy
            )
        # A copy, because JAX might keep using the shared memory. See findings/jax_device_put_alignment.sh.
        rows = out[chunk.first : chunk.first + len(chunk.requests)]
        rows[...] = np.frombuffer(self._memory, out.dtype, rows.size).reshape(rows.shape)

    def end(self) -> None:
        """Ends the process at once; its unfinished work has no lasting effect."""
        # That wakes up a thread that waits for an answer. The connection stays open until it is garbage-collected:
        # otherwise its number could be given to another file, for which the thread would then wait.
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(BufferError):  # still read by another thread; the memory is freed with the last view
            self._memory.close()


@contextlib.contextmanager
def _unnamed_memory() -> Any:
    """A file in memory, not limited by the size of /dev/shm."""
    with open(os.memfd_create("algoperf-rows"), "r+b", buffering=0) as file:
        yield file
