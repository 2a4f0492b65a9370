"""The tiny workload, for submissions in the styles of published ones."""

from tests.algoperf_jax.conftest import command as command
from tests.algoperf_jax.conftest import compilation_cache as compilation_cache
