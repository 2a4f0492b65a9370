"""The libraries that only the preparation needs, imported when they are."""

import importlib
from typing import Any

from algoperf_jax.errors import DataError


def arrow() -> Any:
    """The package `pyarrow`, with its modules for files.

    Raises:
      DataError: it is not installed.
    """
    try:
        for module in ("pyarrow.ipc", "pyarrow.parquet", "pyarrow.types"):
            importlib.import_module(module)
        return importlib.import_module("pyarrow")
    except ImportError as error:
        raise _not_installed("reading Arrow and Parquet files needs pyarrow") from error


def tokenizers() -> Any:
    """The package `tokenizers`.

    Raises:
      DataError: it is not installed.
    """
    try:
        return importlib.import_module("tokenizers")
    except ImportError as error:
        raise _not_installed("turning text into tokens needs tokenizers") from error


def _not_installed(what: str) -> DataError:
    return DataError(f"{what}, which is not installed", remedy='Install it with: pip install -e ".[prepare]"')
