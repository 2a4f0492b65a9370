"""`algoperf_jax.main` with narrow workloads and one more, `narrow`, which has no twin in PyTorch.

For tests that start processes.

Usage: python -m tests.narrow_run --config=tests/narrow_config.py [CONFIG OVERRIDES]
"""

import sys

import workloads
from algoperf_jax.main import main
from tests.narrow_workloads import NARROW_GRAPHS, narrow

NAME = "narrow"
ENTRY = workloads.Entry("workloads.ogbg", workloads.Variant(arguments=NARROW_GRAPHS))

if __name__ == "__main__":
    with narrow(), workloads.registered(NAME, ENTRY):
        sys.exit(main(sys.argv[1:]))
