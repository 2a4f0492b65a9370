"""The rooms of the engine, and what each may import of the others.

`tests/test_imports.py` holds the code to it; the drawing in docs/architecture.md is made from it.
"""

from collections.abc import Mapping

ROOMS: Mapping[str, tuple[str, ...]] = {
    "errors": (),
    "workload": (),
    "parameters": ("workload",),
    "schedules": (),
    "quantities": (),
    "algorithms": ("schedules",),
    "data": ("errors", "workload"),
    "submission": ("errors", "workload"),
    "rule_check": ("errors", "submission"),
    "trial": ("errors", "workload", "submission"),
    "checkpoints": ("errors", "trial"),
    "devices": ("errors", "workload", "parameters", "data", "trial"),
    "framework": ("errors", "workload", "parameters", "submission", "trial", "checkpoints", "devices"),
    "outputs": ("errors", "workload", "submission", "trial", "checkpoints"),
    "configuration": ("errors", "submission", "trial", "devices"),
    "assembly": ("errors", "workload", "data", "submission", "trial", "devices", "framework", "configuration"),
    "run": (
        *("errors", "workload", "parameters", "submission", "rule_check", "trial", "checkpoints", "devices"),
        *("framework", "outputs", "configuration", "assembly"),
    ),
    "tuning": ("errors", "submission", "framework", "outputs", "assembly", "run"),
    "command_line": ("errors", "outputs"),
    "listing": ("errors", "workload", "submission", "configuration"),
    "new": ("errors", "submission", "command_line"),
    "prepare": ("errors", "data", "command_line"),
    "bench": (
        "quantities",
        *("errors", "workload", "data", "submission", "trial", "devices", "framework", "outputs"),
        *("configuration", "assembly", "command_line"),
    ),
    "dry_run": (
        "quantities",
        *("errors", "workload", "submission", "trial", "devices", "framework", "outputs"),
        *("configuration", "assembly", "tuning", "command_line"),
    ),
    "check_submission": (
        *("errors", "workload", "submission", "rule_check", "trial", "framework"),
        *("configuration", "assembly", "tuning", "command_line"),
    ),
    "main": ("outputs", "devices", "configuration", "run", "tuning", "command_line", "listing"),
    "__main__": ("errors",),
}
"""Room -> the rooms that it imports, from the ground up. No room imports one that comes later."""
