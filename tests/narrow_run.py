"""`algoperf_jax.main` with one more workload, `narrow`: ogbg with a small model, for tests that start processes.

Usage: python -m tests.narrow_run --config=tests/narrow_config.py [CONFIG OVERRIDES]
"""

import sys

import workloads
from algoperf_jax.main import main
from tests.workloads.ogbg.case import CASE

NAME = "narrow"
ENTRY = workloads.Entry("workloads.ogbg", workloads.Variant(arguments=CASE.reduced[""]))

if __name__ == "__main__":
    with workloads.registered(NAME, ENTRY):
        sys.exit(main(sys.argv[1:]))
