"""The frameworks that a submission may be written in, and where each is found."""

import dataclasses
import importlib.util
import pkgutil
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Entry:
    """Where a framework is found.

    Attributes:
      module: defines `FRAMEWORK`.
      algorithms: package of its ready-made algorithms.
      library: what a submission written in it imports.
      install: the command that installs the library.
    """

    module: str
    algorithms: str
    library: str
    install: str


JAX, PYTORCH, JAX_PMAP = "jax", "pytorch", "jax_pmap"
TORCH_MODELS = ("auto", "twin", "bridge")
"""What `config.torch_model` may be; see `configs/base.py`."""

ENTRIES: Mapping[str, Entry] = {
    JAX: Entry("algoperf_jax.framework.jax_framework", "algoperf_jax.algorithms", "jax", "pip install -e ."),
    PYTORCH: Entry("torch_compat.framework", "torch_compat.algorithms", "torch", 'pip install -e ".[torch]"'),
}

ADAPTERS: Mapping[str, Entry] = {
    # JAX submissions of the time before sharded jit: everything has a leading axis of devices, and steps use pmap.
    JAX_PMAP: Entry("third_party.pmap.framework", "algoperf_jax.algorithms", "jax", "pip install -e ."),
}
"""Other ways to run submissions of these frameworks, which are chosen like them."""
WAYS_TO_RUN: Mapping[str, Entry] = {**ENTRIES, **ADAPTERS}
"""What `config.framework` may name."""


def algorithm_names(framework: str) -> tuple[str, ...]:
    """The ready-made algorithms of a framework; none of them is imported."""
    found = importlib.util.find_spec(ENTRIES[framework].algorithms)
    assert found is not None, framework
    modules = pkgutil.iter_modules(found.submodule_search_locations)
    return tuple(sorted(module.name for module in modules))
