"""The names of the benchmark's interface: functions of a submission, and what they are called with."""

REQUIRED = ("get_batch_size", "init_optimizer_state", "update_params", "data_selection")
OPTIONAL = ("prepare_for_eval", "get_eval_batch_size")
FACTORY = "make_optimizer"
"""What a submission may define instead: a factory of an optax optimizer."""
UPDATE_ARGUMENTS = (
    "workload",
    "current_param_container",
    "current_params_types",
    "model_state",
    "hyperparameters",
    "batch",
    "loss_type",
    "optimizer_state",
    "eval_results",
    "global_step",
    "rng",
)
"""What `update_params` is given, by keyword; `train_state` is added where it is taken."""
PREPARE_ARGUMENTS = tuple(name for name in UPDATE_ARGUMENTS if name != "batch")
"""What `prepare_for_eval` is given, by keyword."""
