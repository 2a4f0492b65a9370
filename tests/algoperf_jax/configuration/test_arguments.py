"""Reading the command line: valid arguments, and the one-line errors about others."""

import json
import pathlib
import shlex
from typing import Any

import pytest

from algoperf_jax import configuration as configs
from algoperf_jax.configuration import files
from algoperf_jax.configuration.description import keys_text, settings_text
from algoperf_jax.errors import ConfigError
from configs import base

MNIST = "--config=configs/mnist.py"


@pytest.fixture(autouse=True)
def in_the_projects_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pathlib.Path(__file__).parents[3])


def read(*arguments: str) -> Any:
    return configs.from_command_line(arguments)


def refusal(*arguments: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- what is accepted ------------------------------------------------------------------------------------------------


def test_file_and_overrides() -> None:
    config = read(MNIST, "--config.max_steps=7", "--config.mesh.data=2", "--config.tensorboard=False")
    assert (config.workload, config.max_steps, config.mesh.data, config.tensorboard) == ("mnist", 7, 2, False)
    assert set(config.hyperparameters) == {"learning_rate", "weight_decay", "warmup_factor"}


def test_every_key_keeps_its_default_and_every_default_is_json() -> None:
    config = read(MNIST)
    defaults = configs.as_dict(base.get_config())
    assert configs.as_dict(config) | {"workload": "", "hyperparameters": {}} == defaults
    assert json.loads(json.dumps(defaults)) == defaults


def test_variant_follows_the_colon() -> None:
    assert read("--config=configs/ogbg.py:gelu").workload == "ogbg_gelu"


@pytest.mark.parametrize(
    "arguments",
    [["--config.max_steps=7"], ["--config.max_steps", "7"], ["-config.max_steps=7"], ["-config.max_steps", "7"]],
)
def test_spellings_of_an_override(arguments: list[str]) -> None:
    assert read(MNIST, *arguments).max_steps == 7


@pytest.mark.parametrize(
    ("argument", "value"),
    [("max_steps=1e3", 1000), ("max_steps=1000.0", 1000), ("max_runtime_sec=5", 5.0), ("max_runtime_sec=1e3", 1000.0)],
)
def test_numbers_in_any_notation(argument: str, value: float) -> None:
    found = read(MNIST, f"--config.{argument}")[argument.partition("=")[0]]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["true", "True", "1", "false", "False", "0"])
def test_bools(text: str) -> None:
    assert read(MNIST, f"--config.overwrite={text}").overwrite is (text in ("true", "True", "1"))


def test_the_last_of_two_counts() -> None:
    assert read(MNIST, "--config.max_steps=7", "--config.max_steps=8").max_steps == 8


@pytest.mark.parametrize("key", ["seed", "search_seed"])
def test_seeds_have_32_bits(key: str) -> None:
    assert read(MNIST, f"--config.{key}={2**32 - 1}")[key] == 2**32 - 1
    for seed in (2**32, -1):
        line = refusal(MNIST, f"--config.{key}", str(seed))
        assert line == f"config.{key}: found {seed}; expected 0 to 4294967295, a seed of 32 bits"


def test_the_file_may_come_last() -> None:
    config = read("--config.max_steps=7", MNIST)
    assert (config.workload, config.max_steps) == ("mnist", 7)


@pytest.mark.parametrize("file", ["mnist", "configs/mnist.py"])
def test_files_of_the_package_are_found_from_any_folder(
    file: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read(MNIST)
    monkeypatch.chdir(tmp_path)
    assert read(f"--config={file}") == expected
    assert read(f"--config={file}:small").workload == "mnist_small"


@pytest.mark.parametrize("file", ["mnist", "configs/mnist.py"])
def test_files_of_the_working_folder_come_first(
    file: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "mnist.py").write_text(f"{_START}config.seed = 9\n  return config\n")
    monkeypatch.chdir(tmp_path)
    assert read(f"--config={file}").seed == 9


def test_files_are_read_again_each_time(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "changing.py"
    for seed in (1, 2):
        path.write_text(f"{_START}config.seed = {seed}\n  return config\n")
        assert read(f"--config={path}").seed == seed
    assert [found.name for found in tmp_path.iterdir()] == ["changing.py"]


def test_a_file_may_define_what_it_needs(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "rich.py"
    imports = "from __future__ import annotations\nimport dataclasses\n"
    point = "@dataclasses.dataclass\nclass Point:\n  seed: int = 9\n"
    path.write_text(f"{imports}{point}{_START}config.seed = Point().seed\n  return config\n")
    assert read(f"--config={path}").seed == 9


def test_separate_file_argument() -> None:
    assert read("--config", "configs/mnist.py").workload == "mnist"


def test_none_unsets_keys_that_are_unset_by_default() -> None:
    config = read(MNIST, "--config.max_steps=None", "--config.data_dir=None", "--config.mesh.data=None")
    assert (config.max_steps, config.data_dir, config.mesh.data) == (None, None, None)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-3", -3),
        ("3e-4", 3e-4),
        ("None", None),
        ("True", True),
        ("false", False),
        ("relu", "relu"),
        ("a=b", "a=b"),
        ("'3'", "3"),
        ("'a,b'", "a,b"),
        ("(0.8,0.9)", (0.8, 0.9)),
        ("0.8, 0.9", (0.8, 0.9)),
        ("[0.8,0.9]", [0.8, 0.9]),
        ("(0.9,)", (0.9,)),
        ("()", ()),
        ("[(1,relu),'x,y']", [(1, "relu"), "x,y"]),
        ("(0.8,0.9", "(0.8,0.9"),
        ("(a]", "(a]"),
    ],
)
def test_hyperparameters_may_be_introduced(text: str, value: object) -> None:
    config = read(MNIST, f"--config.hyperparameters.new={text}")
    assert config.hyperparameters.new == value
    assert type(config.hyperparameters.new) is type(value)
    assert read(MNIST, "--config.hyperparameters.new", text).hyperparameters == config.hyperparameters


def test_hyperparameters_of_the_file_are_overridden_regardless_of_type() -> None:
    assert read(MNIST, "--config.hyperparameters.learning_rate=1").hyperparameters.learning_rate == 1
    assert read(MNIST, "--config.hyperparameters.learning_rate", "0.5").hyperparameters.learning_rate == 0.5
    assert read(MNIST, "--config.hyperparameters.learning_rate=None").hyperparameters.learning_rate is None


def test_naming_the_submission_of_the_file_keeps_its_hyperparameters() -> None:
    assert read(MNIST, "--config.submission=nadamw") == read(MNIST)


def test_another_submission_drops_the_hyperparameters_of_the_file() -> None:
    config = read(MNIST, "--config.submission=adamw", "--config.hyperparameters.beta2=0.9")
    assert config.hyperparameters.to_dict() == {"beta2": 0.9}


@pytest.mark.parametrize("submission", [(), ("--config.submission=nadamw",)])
def test_a_search_space_drops_the_hyperparameters_of_the_file(submission: tuple[str, ...]) -> None:
    config = read(MNIST, "--config.search_space=space.json", "--config.hyperparameters.beta2=0.9", *submission)
    assert config.hyperparameters.to_dict() == {"beta2": 0.9}
    assert read(MNIST, "--config.num_trials=2").hyperparameters == read(MNIST).hyperparameters


def test_keys_that_mean_a_study() -> None:
    assert not configs.means_study(read(MNIST, "--config.study=2", "--config.trial=3", "--config.ruleset=external"))
    for argument in ("--config.search_space=space.json", "--config.num_trials=1", "--config.num_studies=1"):
        assert configs.means_study(read(MNIST, argument))


@pytest.mark.parametrize("workload", ["mnist", "ogbg_gelu"])
def test_rulesets(workload: str) -> None:
    external = read(f"--config=configs/external_tuning.py:{workload}", "--config.search_space=space.json")
    assert (external.workload, external.ruleset) == (workload, "external")
    assert (external.num_studies, external.num_trials, external.search_space) == (3, 5, "space.json")
    self_tuning = read(f"--config=configs/self_tuning.py:{workload}", "--config.submission=mine.py")
    assert (self_tuning.workload, self_tuning.ruleset) == (workload, "self")
    assert (self_tuning.num_studies, self_tuning.num_trials) == (3, None)
    assert not external.hyperparameters
    assert not self_tuning.hyperparameters


def test_ruleset_without_a_workload() -> None:
    assert "config.workload is empty. Set --config.workload=" in refusal("--config=configs/self_tuning.py")


# --- as text ---------------------------------------------------------------------------------------------------------


def test_help_has_every_key_with_default_and_meaning() -> None:
    text = keys_text()
    words = " ".join(text.split())
    for key in base.KEYS.values():
        assert f"\n  --config.{key.name}" in text
        assert " ".join(key.meaning.split()) in words
    assert "--config.max_steps=INT (default: unset)" in words
    assert "--config.progress_period_sec=FLOAT (default: 15.0)" in words
    assert "(here:" not in text
    assert max(map(len, text.splitlines())) <= 120


def test_help_shows_what_a_configuration_sets() -> None:
    text = keys_text(read(MNIST, "--config.seed=3"))
    assert "--config.seed=INT  (default: 0)  (here: 3)" in text
    assert "(here: learning_rate=0.001, warmup_factor=0.05, weight_decay=0.001)" in text


def test_settings_are_arguments_that_give_the_same_configuration() -> None:
    given = ["a='3'", "b=relu", "c=(0.8,[1,'x y'])", "d=None", "e=1e-9"]
    config = read(MNIST, "--config.max_steps=7", *(f"--config.hyperparameters.{one}" for one in given))
    text = settings_text(config)
    assert "--config.max_steps=7  # default: None" in text.splitlines()
    again = read("--config=base", *shlex.split(text, comments=True))
    assert again == config


def test_config_is_locked() -> None:
    with pytest.raises(AttributeError):
        read(MNIST).new_key = 1


# --- what is not -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("--config.max_stps=3", "unknown config key config.max_stps. Did you mean config.max_steps?"),
        ("-config.max_stps=3", "Did you mean config.max_steps?"),
        ("--config.mesh.dta=3", "unknown config key config.mesh.dta. Did you mean config.mesh.data?"),
        ("--config.learning_rate=3", "a hyperparameter is --config.hyperparameters.learning_rate"),
        ("--config.hyperparameters.a.b=3", "unknown config key config.hyperparameters.a.b"),
        ("--config.max_steps=abc", "config.max_steps: found 'abc'; expected a value of type int"),
        ("--config.max_steps=5.5", "config.max_steps: found '5.5'; expected a value of type int"),
        ("--config.max_steps=True", "config.max_steps: found 'True'; expected a value of type int"),
        ("--config.max_steps=inf", "config.max_steps: found 'inf'; expected a value of type int"),
        ("--config.max_steps=1e300", "config.max_steps: found '1e300'; expected a value of type int"),
        (f"--config.max_steps={10**40}", "expected a positive number below 2**63"),
        ("--config.max_steps=", "config.max_steps: found ''; expected a value of type int"),
        ("--config.max_steps", "config.max_steps has no value; expected --config.max_steps=VALUE"),
        (f"--config.max_runtime_sec={10**400}", "expected a value of type float"),
        ("--config.", "unknown config key config."),
        ("--config.tensorboard=2", "config.tensorboard: found '2'; expected a value of type bool"),
        ("--config.seed=None", "config.seed: found 'None'; expected a value of type int"),
        ("--config.max_runtime_sec=fast", "config.max_runtime_sec: found 'fast'; expected a value of type float"),
        ("--config.tensorboard=maybe", "config.tensorboard: found 'maybe'; expected a value of type bool"),
        ("--config.mesh=3", "config.mesh is a group of keys; expected --config.mesh.KEY=VALUE"),
        ("--config.hyperparameters=3", "config.hyperparameters is a group of keys"),
        ("--config.hyperparameters.=3", "unknown config key config.hyperparameters."),
        ("--config.hyperparameters.x", "config.hyperparameters.x has no value"),
        (
            "--config.ruleset=selff",
            "config.ruleset: found 'selff'; expected one of external, self. Did you mean 'self'?",
        ),
        ("--config.timing_rules=odd", "config.timing_rules: found 'odd'; expected one of standard, reference"),
        ("--config.data_dir=", "config.data_dir is empty. Set --config.data_dir=..."),
        ("--config.workload=", "config.workload is empty"),
        ("--config.search_space=", "config.search_space is empty"),
        ("--config.num_trials=2:4", "config.num_trials: found '2:4'; expected a value of type int"),
        (
            "--config.trials=2",
            "config.trials: found '2'; expected config.search_space or config.num_trials too. Set --config.trial",
        ),
        ("--flag=3", "unknown argument: found '--flag=3'; expected --config=FILE and --config.KEY=VALUE"),
        ("word", "unexpected argument: found 'word'"),
    ],
)
def test_argument_is_refused(argument: str, expected: str) -> None:
    assert expected in refusal(MNIST, argument)


def test_hyperparameters_of_a_self_tuning_submission() -> None:
    line = refusal(MNIST, "--config.ruleset=self", "--config.hyperparameters.beta2=0.9")
    assert line.startswith("config.hyperparameters.beta2 is given to a self-tuning submission; expected no")
    # Hyperparameters in a file are for the external ruleset; the preset for self-tuning has none.
    assert read(MNIST, "--config.ruleset=self").ruleset == "self"


@pytest.mark.parametrize("key", [name for name, key in base.KEYS.items() if key.range is base.POSITIVE])
@pytest.mark.parametrize("value", ["0", "-1"])
def test_number_must_be_positive(key: str, value: str) -> None:
    line = refusal(MNIST, f"--config.{key}={value}")
    assert line.startswith(f"config.{key}: found {value}")
    assert line.endswith("expected a positive number below 2**63")


@pytest.mark.parametrize("key", [name for name, key in base.KEYS.items() if key.range is base.NOT_NEGATIVE])
def test_number_must_not_be_negative(key: str) -> None:
    assert refusal(MNIST, f"--config.{key}=-1") == f"config.{key}: found -1; expected 0 or more, below 2**63"


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_number_must_be_finite(value: str) -> None:
    assert refusal(MNIST, f"--config.max_runtime_sec={value}").startswith(f"config.max_runtime_sec: found {value}")


def test_file_is_missing() -> None:
    assert "the configuration file is missing; expected one --config=FILE" in refusal("--config.max_steps=3")
    assert "several configuration files are given" in refusal(MNIST, MNIST)
    assert "Did you mean 'configs/mnist.py'?" in refusal("--config=configs/mnis.py")


def test_unknown_file_lists_those_that_exist(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no such configuration file: found 'zzz'; expected the path of" in refusal("--config=zzz")
    assert refusal("--config=zzz").endswith(f"or one of {', '.join(files.names())}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "mine.py").touch()
    assert refusal("--config=mins").endswith(
        f"or one of {', '.join(sorted([*files.names(), 'mine']))}. Did you mean 'mine'?"
    )


def test_directory_is_not_a_file() -> None:
    assert "no such configuration file: found 'configs'" in refusal("--config=configs")


_START = "from configs import base\ndef get_config():\n  config = base.named('mnist', '')\n  "


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f(:\n", "SyntaxError: invalid syntax"),
        ("1/0\n", "ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(4)\n", "SystemExit: 4"),
        ("import no_such_module\n", "No module named 'no_such_module'"),
        ("x = 1\n", "has no attribute 'get_config'"),
        ("def get_config(): return None\n", "expected a ConfigDict made by configs.base"),
        ("def get_config(): return {}\n", "expected a ConfigDict made by configs.base"),
        (
            "import ml_collections\ndef get_config(): return ml_collections.ConfigDict()\n",
            "broken.py does not set config.workload",
        ),
        (f"{_START}config.wrong = 3\n  return config\n", "unknown config key config.wrong"),
        (f"{_START}config.seed = 2**32\n  return config\n", "config.seed: found 4294967296; expected 0 to 4294967295"),
        (f"{_START}config.mesh.dat = 3\n  return config\n", "Did you mean config.mesh.data?"),
        (f"{_START}config.seed = 'x'\n  return config\n", "cannot be casted to type <class 'int'>"),
        (f"{_START}config.seed = None\n  return config\n", "config.seed in"),
        (f"{_START}config.max_steps = 0\n  return config\n", "config.max_steps: found 0; expected a positive number"),
    ],
)
def test_file_is_refused(text: str, expected: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)
    assert expected in refusal(f"--config={path}")


def test_file_that_is_not_text(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "binary.py"
    path.write_bytes(b"\xff\xfe\x00")
    # Python before 3.11.4 raises ValueError.
    found = refusal(f"--config={path}")
    assert any(
        f"the configuration file {path} cannot be used: {kind}" in found for kind in ("SyntaxError", "ValueError")
    )


def test_variant_of_a_file_without_variants(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "plain.py"
    path.write_text(f"{_START}return config\n")
    assert "takes 0 positional arguments but 1 was given" in refusal(f"--config={path}:wide")
