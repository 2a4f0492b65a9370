"""Every configuration key, with its default, its unit and what reads it.

A key that is not here does not exist: a config file or an override that names another is refused.
"""

from ml_collections import ConfigDict, config_dict


def get_config() -> ConfigDict:
    """The defaults of all keys."""
    config = ConfigDict()

    # What is trained. Names: `python -m algoperf_jax.main --list`.
    config.workload = ""
    # Folder with prepared data (see BUILD.md), or unset for the built-in data.
    config.data_dir = config_dict.placeholder(str)

    # The training algorithm: a ready-made one, the path of a .py file, or a dotted module.
    config.submission = "nadamw"
    # The framework that it is written in, `jax` or `pytorch`, or `jax_pmap` for JAX submissions with a leading axis of
    # devices; unset tells it from the submission's files, and takes the ready-made algorithms of JAX.
    config.framework = config_dict.placeholder(str)
    # The model of PyTorch submissions: `twin` (a module of its own), `bridge` (the JAX model inside a module), or
    # `auto` (a twin where there is one).
    config.torch_model = "auto"
    # Its hyperparameters; what is not named here keeps the algorithm's default.
    config.hyperparameters = ConfigDict()

    # Seed of initialization, dropout, shuffling and augmentation.
    config.seed = 0
    # `external` (a hyperparameter point is given) or `self` (none is; 1.5 times the budget).
    config.ruleset = "external"
    # How float32 arrays are multiplied, by every submission of either framework: `highest` (in float32), `tf32` or
    # `bf16` (as fast as the device allows). What these mean on each device: algoperf_jax/devices/precision.py.
    config.precision = "highest"
    # `standard`, or `reference` for the bookkeeping of AlgoPerf v0.6's runner.
    config.timing_rules = "standard"

    # Studies: several trials in one command, each with a seed of its own that follows from config.seed. They are meant
    # when one of the first three keys is set; else the one trial that config.study and config.trial number is run.
    # JSON file with the hyperparameters of the trials: a list of points, or ranges that points are drawn from. What a
    # configuration file sets as hyperparameters is then left out.
    config.search_space = config_dict.placeholder(str)
    # Trials of each study; unset takes every point of a list, 5 points of ranges, or 1 trial where there is no space.
    config.num_trials = config_dict.placeholder(int)
    # Studies, numbered from config.study on; all of them try the same points. Unset takes 1.
    config.num_studies = config_dict.placeholder(int)
    # Only these trials of each study: `3`, `2:4` (both included), `:2` or `4:`. Unset runs all.
    config.trials = config_dict.placeholder(str)
    # Seed of the order of the points that are drawn from ranges.
    config.search_seed = 0
    # Keep compiled JAX programs in <experiment_dir>/.compilation_cache, so that only the first trial that needs one
    # pays for it. For development: times are then not comparable with others.
    config.share_compilation = False

    # Limits and sizes; unset takes the workload's or the submission's own. Results of runs that set one of the first
    # three are not comparable with others, and their logs say so.
    config.max_runtime_sec = config_dict.placeholder(float)
    config.eval_period_sec = config_dict.placeholder(float)
    config.step_hint = config_dict.placeholder(int)
    # The training is complete after so many steps.
    config.max_steps = config_dict.placeholder(int)
    # Examples per training and evaluation batch, over all devices.
    config.batch_size = config_dict.placeholder(int)
    config.eval_batch_size = config_dict.placeholder(int)

    # Where logs and checkpoints go: <dir>/<name>/<submission>/study_<study>/<workload>_<framework>/trial_<trial>.
    config.experiment_dir = "experiments"
    config.experiment_name = "default"
    config.study = 1
    config.trial = 1
    # Delete what stands in the trial's directory and start afresh.
    config.overwrite = False
    # Newest checkpoints kept; one is written after each evaluation.
    config.checkpoints_kept = 2
    # Write TensorBoard event files.
    config.tensorboard = True
    # Seconds between progress lines where there is no terminal.
    config.progress_period_sec = 15.0

    # Devices on the data axis; unset takes all.
    config.mesh = ConfigDict()
    config.mesh.data = config_dict.placeholder(int)

    # Several processes that share one run; unset runs alone. See BUILD.md.
    config.distributed = ConfigDict()
    config.distributed.coordinator_address = config_dict.placeholder(str)
    config.distributed.num_processes = config_dict.placeholder(int)
    config.distributed.process_id = config_dict.placeholder(int)

    # Input pipeline: processes that decode images (unset takes one for each core that this process may use; 0 leaves it
    # to the threads), threads that make batches, and batches kept ready.
    config.input = ConfigDict()
    config.input.workers = config_dict.placeholder(int)
    config.input.threads = 1
    config.input.batches_ahead = 3

    # Evaluation batches stay on the devices while all splits fit into so many bytes.
    config.evaluation = ConfigDict()
    config.evaluation.stage_bytes = 4 * 2**30

    return config


def named(workload: str, variant: str) -> ConfigDict:
    """The defaults for a workload; `variant` follows the colon in `--config=configs/<workload>.py:<variant>`."""
    config = get_config()
    config.workload = f"{workload}_{variant}" if variant else workload
    return config
