"""The configuration of a run: reads a file and overrides from the command line, and checks them.

`configs/base.py` defines the keys with their types and ranges; all other code about them is here.
"""

from typing import Any

from ml_collections import ConfigDict

from algoperf_jax.configuration.arguments import from_command_line, from_values
from algoperf_jax.configuration.checks import check, means_study
from configs.base import get_config as defaults

__all__ = ["as_dict", "check", "defaults", "from_command_line", "from_values", "means_study"]


def as_dict(config: ConfigDict) -> dict[str, Any]:
    """The configuration as plain nested dicts, JSON-able."""
    return config.to_dict()
