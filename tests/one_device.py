"""The environment of processes that tests start, which have the machine's own devices."""

import os

_VIRTUAL_DEVICES = "--xla_force_host_platform_device_count="


def environment(**changes: str) -> dict[str, str]:
    """The environment without the tests' eight virtual devices, which would only share the cores."""
    flags = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if not flag.startswith(_VIRTUAL_DEVICES)]
    return {**os.environ, "XLA_FLAGS": " ".join(flags), **changes}


def unoptimized(**changes: str) -> dict[str, str]:
    """The same for processes whose programs run too rarely to pay for their optimization (see `golden_support`)."""
    changed = environment(JAX_DISABLE_MOST_OPTIMIZATIONS="1", **changes)
    return {**changed, "XLA_FLAGS": changed["XLA_FLAGS"] + " --xla_cpu_use_fusion_emitters=false"}
