"""Memory usage of a process."""

import resource
import sys

import jax


def memory_peak_bytes() -> dict[str, int]:
    """Peak memory of this process and, if the platform reports it, of its first device."""
    unit = 1 if sys.platform == "darwin" else 1024
    peaks = {"host": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    statistics = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in statistics:
        peaks["device"] = statistics["peak_bytes_in_use"]
    return peaks
