"""The frameworks in which a submission may be written, and the modules that implement them."""

import dataclasses
import importlib.util
import pkgutil
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Entry:
    """The modules of a framework.

    Attributes:
      module: the module that defines `FRAMEWORK`.
      algorithms: the package of its ready-made algorithms.
      library: the library that its submissions import.
      install: the command that installs the library.
    """

    module: str
    algorithms: str
    library: str
    install: str


JAX, PYTORCH, JAX_PMAP = "jax", "pytorch", "jax_pmap"
TORCH_MODELS = ("auto", "twin", "bridge")
"""The values of `config.torch_model`; see `configs/base.py`."""

ENTRIES: Mapping[str, Entry] = {
    JAX: Entry("algoperf_jax.framework.jax_framework", "algoperf_jax.algorithms", "jax", "pip install -e ."),
    PYTORCH: Entry("torch_compat.framework", "torch_compat.algorithms", "torch", 'pip install -e ".[torch]"'),
}

ADAPTERS: Mapping[str, Entry] = {
    # JAX submissions from before sharded jit: all arrays have a leading axis of devices, and steps use pmap.
    JAX_PMAP: Entry("third_party.pmap.framework", "algoperf_jax.algorithms", "jax", "pip install -e ."),
}
"""Other ways to run submissions in these frameworks; `config.framework` selects them too."""
WAYS_TO_RUN: Mapping[str, Entry] = {**ENTRIES, **ADAPTERS}
"""The values of `config.framework`."""


def algorithm_names(framework: str) -> tuple[str, ...]:
    """The names of a framework's ready-made algorithms; imports none of them."""
    found = importlib.util.find_spec(ENTRIES[framework].algorithms)
    assert found is not None, framework
    modules = pkgutil.iter_modules(found.submodule_search_locations)
    return tuple(sorted(module.name for module in modules))
