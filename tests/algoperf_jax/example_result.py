"""The result of a trial that met its targets."""

from algoperf_jax.outputs.result import TrialResult

RESULT = TrialResult(
    workload="tiny",
    framework="jax",
    submission="nadamw",
    data="builtin",
    status="target_reached",
    reason="",
    steps=100,
    time_to_target_sec=12.34,
    metric="accuracy",
    targets={"validation": 0.9, "test": 0.8},
    best={"validation": 0.95, "test": 0.85},
    budget_sec=60.0,
    seconds={"setup": 1.0, "submission": 20.0, "evaluation": 2.0, "logging": 3.0, "other": 4.0},
    steps_per_sec=5.0,
    compile_count=7,
    compile_sec=8.0,
    memory_peak_bytes={"host": 2**30, "device": 2**29},
    not_comparable=(),
    learning_curve="/some/where/learning_curve.png",
    directory="/some/where",
)
