"""Rows do not depend on who makes them; a worker's error is reported once, and leaves no process behind."""

import concurrent.futures
import gc
import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from algoperf_jax.data.workers import SLOT_BYTES, WorkerPool
from algoperf_jax.errors import DataError
from tests.algoperf_jax.data.row_makers import Multiples, process_of


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    pool = WorkerPool(2)
    yield pool
    pool.close()


def filled(pool: WorkerPool, requests: list, shape: tuple[int, ...] = (3,), dtype: type = np.float32) -> np.ndarray:
    out = np.zeros((len(requests), *shape), dtype)
    pool.fill(Multiples(2), requests, out)
    return out


def processes(pool: WorkerPool) -> set[int]:
    out = np.zeros((64, 1), np.int64)
    pool.fill(process_of, [None] * 64, out)
    return set(out[:, 0].tolist())


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 5, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("count", [0, 1, 100])
def test_rows_do_not_depend_on_who_makes_them(
    pool: WorkerPool, shape: tuple[int, ...], dtype: type, count: int
) -> None:
    requests = list(range(count))
    here = filled(WorkerPool(0), requests, shape, dtype)
    np.testing.assert_array_equal(filled(pool, requests, shape, dtype), here)
    assert [int(row.flat[-1]) for row in here] == [2 * request for request in requests]


def test_rows_that_fill_or_exceed_the_shared_memory(pool: WorkerPool) -> None:
    for size in (SLOT_BYTES, SLOT_BYTES + 1):
        assert filled(pool, [1, 2], (size,), np.uint8)[:, -1].tolist() == [2, 4]


def test_several_threads_share_the_workers(pool: WorkerPool) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        for start, rows in enumerate(threads.map(lambda k: filled(pool, list(range(k, k + 50))), range(20))):
            assert rows[:, 0].tolist() == [2 * request for request in range(start, start + 50)]


def test_rows_are_made_in_other_processes_and_only_where_wanted(pool: WorkerPool) -> None:
    assert os.getpid() not in processes(pool)
    assert processes(WorkerPool(0)) == {os.getpid()}


@pytest.mark.parametrize("count", [0, 2])
def test_user_errors_are_passed_on_unchanged(count: int) -> None:
    pool = WorkerPool(count)
    with pytest.raises(DataError, match=r"^photo 7 is damaged: found 'xyz'; expected a JPEG$"):
        filled(pool, [*range(20), "bad record", *range(20)])
    assert filled(pool, [4])[0, 0] == 8, "the next rows are made as if nothing had happened"
    pool.close()


def test_a_defect_comes_with_its_traceback() -> None:
    pool = WorkerPool(2)
    with pytest.raises(RuntimeError, match="ZeroDivisionError: a defect"):
        filled(pool, ["defect"])
    pool.close()


def test_a_killed_worker_ends_in_one_error_for_all_that_wait() -> None:
    pool = WorkerPool(2)
    before = processes(pool)
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(filled, pool, [1] * 30 + ["killed"] * 3) for _ in range(4)]
        for each in waiting:
            with pytest.raises(DataError, match=r"was killed by signal 9 while it made one of: .*killed.*workers"):
                each.result()
    assert not any(map(is_running, before))
    pool.close()


def test_the_error_says_what_helps_where_the_pool_is_used() -> None:
    pool = WorkerPool(1, remedy="Buy memory.")
    with pytest.raises(DataError, match=r"was killed by signal 9 while it made one of: killed\. Buy memory\."):
        filled(pool, ["killed"])
    pool.close()


def test_no_process_outlives_its_pool() -> None:
    pool = WorkerPool(2)
    found = processes(pool)
    assert all(map(is_running, found))
    del pool
    gc.collect()
    assert not any(map(is_running, found))


def test_no_process_outlives_the_interpreter_and_nothing_is_said() -> None:
    program = (
        "import numpy as np; from algoperf_jax.data.workers import WorkerPool;"
        "from tests.algoperf_jax.data.test_workers import processes;"
        "print(*processes(pool := WorkerPool(2)))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stderr == ""
    assert not any(is_running(int(process)) for process in ended.stdout.split())


def test_workers_do_without_jax() -> None:
    program = "import sys, algoperf_jax.data.worker_process, workloads.imagenet.stored; print('jax' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"
