"""Strict numerics and eight virtual CPU devices for every test; no test reaches the network.

What one test has compiled, the others read from a folder: those in other pytest-xdist workers, those in the processes
that tests start, and those of later runs. The folder is part of pytest's cache, so `pytest --cache-clear` empties it. A
program that is read counts as compiled, as in JAX's own events.
"""

import os
import pathlib
import platform

_IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
if not _IS_WORKER:  # workers, and processes that tests start, inherit the environment
    # Compiled programs are for the processor that compiled them, and JAX does not check that.
    _COMPILED = pathlib.Path(__file__).parents[1] / f".pytest_cache/d/compiled-{platform.node()}"
    _COMPILED.mkdir(parents=True, exist_ok=True)
    os.environ |= {
        "JAX_COMPILATION_CACHE_DIR": str(_COMPILED),
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        # Smaller programs take as long to write as to compile.
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
        # Least recently used programs go first. With a limit JAX also locks the folder, so that no process reads what
        # another one is still writing.
        "JAX_COMPILATION_CACHE_MAX_SIZE": str(4 * 2**30),
        # Each worker has a core or less to itself; more threads would wait for each other.
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        # Commands that tests start are too short to restart themselves for the sake of speed.
        "GLIBC_TUNABLES": os.environ.get("GLIBC_TUNABLES", ""),
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
