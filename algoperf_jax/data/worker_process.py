"""The code of a worker process; see `workers`."""

import mmap
import multiprocessing.connection
import traceback
from typing import Any

import numpy as np

from algoperf_jax.errors import UserError


def serve(pipe: int, memory: int) -> None:
    """Answers requests until the pipe is closed.

    Args:
      pipe: file descriptor of a socket to the parent process.
      memory: file descriptor of the shared memory for rows.
    """
    shared = mmap.mmap(memory, 0)
    make_row: Any = None
    with multiprocessing.connection.Connection(pipe) as connection:
        while True:
            try:
                new, requests, dtype, shape = connection.recv()
            except (EOFError, ConnectionError):
                return
            make_row = new or make_row
            rows = np.frombuffer(shared, dtype, len(requests) * int(np.prod(shape))).reshape(len(requests), *shape)
            answer: UserError | str | int = len(requests)
            try:
                for request, row in zip(requests, rows, strict=True):
                    make_row(request, row)
            except UserError as error:
                answer = error
            except Exception:
                answer = traceback.format_exc()
            try:
                connection.send(answer)
            except ConnectionError:
                return
