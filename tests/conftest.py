"""Strict numerics and eight virtual CPU devices for every test; no test reaches the network.

What one test has compiled, the others read from a folder of this run: those in other pytest-xdist workers and in the
processes that tests start. The folder is new for each run. A program that is read counts as compiled, as in JAX's own
events.
"""

import os
import pathlib
import shutil
import tempfile

import pytest

_IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
if not _IS_WORKER:  # workers, and processes that tests start, inherit the environment
    os.environ |= {
        "JAX_COMPILATION_CACHE_DIR": tempfile.mkdtemp(prefix="algoperf-compiled-"),
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        # Smaller programs take as long to write as to compile.
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
        # With a limit JAX locks the folder, so that no process reads what another one is still writing.
        "JAX_COMPILATION_CACHE_MAX_SIZE": str(8 * 2**30),
        # Each worker has a core or less to itself; more threads would wait for each other.
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }
# Must be set before JAX starts its backend.
_XLA_FLAGS = (
    "--xla_force_host_platform_device_count=8",
    # XLA compiles the parts of a program in several threads, which costs a fifth more in all; here other tests run.
    "--xla_cpu_parallel_codegen_split_count=1",
)
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *_XLA_FLAGS]).strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax

jax.config.update("jax_default_matmul_precision", "highest")


def pytest_unconfigure(config: pytest.Config) -> None:
    del config
    if not _IS_WORKER:
        shutil.rmtree(pathlib.Path(os.environ["JAX_COMPILATION_CACHE_DIR"]), ignore_errors=True)
