"""Facts about the machine, the software and the code, for the log."""

import importlib.metadata
import os
import pathlib
import platform
import subprocess
from collections.abc import Mapping
from typing import Any

import psutil

_LIBRARIES = (
    "algoperf-jax",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "grain",
    "numpy",
    "torch",
)
# The splitting of sums among threads and the processor's instructions affect the last bits of results.
_ROUNDING = {"cpu_usable_count": "usable cores", "omp_num_threads": "OMP_NUM_THREADS", "cpu_model_name": "processor"}


def versions() -> dict[str, str]:
    """Installed versions of the libraries that affect numbers."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def meta_data(
    workload_facts: Mapping[str, Any], seed: int, edition: str, precision: str, device: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of `meta_data_<n>.json`, with the names of the public logs.

    Args:
      workload_facts: plain values of the workload.
      seed: the trial's seed.
      edition: of the benchmark, value of `config.edition`; scoring keeps editions apart by it.
      precision: of matrix products, see `devices/precision.py`.
      device: `platform`, `kind` and `count` of the devices used.
    """
    memory = psutil.virtual_memory()
    disk, network = psutil.disk_io_counters(), psutil.net_io_counters()
    frequency = psutil.cpu_freq()
    branch, commit = _git("rev-parse", "--abbrev-ref", "HEAD"), _git("rev-parse", "HEAD")
    gpu_count = device["count"] if device["platform"] in ("gpu", "cuda", "rocm") else 0
    return {
        **{f"workload.{name}": value for name, value in workload_facts.items()},
        "cpu.util.avg_percent_since_last": psutil.cpu_percent(),
        "cpu.freq.current": frequency.current if frequency else None,
        "mem.total": memory.total,
        "mem.available": memory.available,
        "mem.used": memory.used,
        "mem.percent_used": memory.percent,
        "mem.read_bytes_since_boot": disk.read_bytes if disk else None,
        "mem.write_bytes_since_boot": disk.write_bytes if disk else None,
        "net.bytes_sent_since_boot": network.bytes_sent if network else None,
        "net.bytes_recv_since_boot": network.bytes_recv if network else None,
        "os_platform": platform.platform(),
        "python_version": platform.python_version(),
        "python_compiler": platform.python_compiler(),
        "git_branch": branch,
        "git_commit_hash": commit,
        "cpu_model_name": _cpu_model(),
        "cpu_count": os.cpu_count(),
        "cpu_usable_count": _usable_cores(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "glibc_tunables": os.environ.get("GLIBC_TUNABLES"),
        "gpu_model_name": device["kind"] if gpu_count else None,
        "gpu_count": gpu_count,
        "rng_seed": seed,
        "edition": edition,
        "precision": precision,
        "versions": versions(),
        "devices": dict(device),
    }


def rounding_differences(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Differences between machines that affect the rounding of sums on CPUs, as `name: X before, Y now`.

    Args:
      earlier: the earlier result of `meta_data`; facts that it lacks are not compared.
      now: the current result of `meta_data`.
    """
    if now["devices"]["platform"] != "cpu":
        return []
    one, other = _flat(earlier), _flat(now)
    return [
        f"{name}: {one[name]} before, {value} now"
        for name, value in other.items()
        if name in one and one[name] != value
    ]


def _flat(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts that affect rounding, by name."""
    found = {words: facts[name] for name, words in _ROUNDING.items() if name in facts}
    if isinstance(devices := facts.get("devices"), Mapping) and "count" in devices:
        found["devices"] = devices["count"]
    libraries = facts.get("versions")
    return {**found, **(libraries if isinstance(libraries, Mapping) else {})}


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=pathlib.Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _usable_cores() -> int | None:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _cpu_model() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
