import subprocess
import sys
from typing import Any

import pytest

import workloads
from algoperf_jax.errors import ConfigError

# Only a fresh process shows what an import loads.
LOAD_OGBG = """
import sys
import workloads
before = [name for name in sys.modules if name.startswith("workloads.")]
assert before == ["workloads.editions", "workloads.entries"], before
workloads.load("ogbg_gelu")
packages = {name.split(".")[1] for name in sys.modules if name.startswith("workloads.")}
others = packages & (set(workloads.base_names()) - {"ogbg"})
assert "ogbg" in packages and not others, packages
heavy = {"torch", "tensorflow"} & set(sys.modules)
assert not heavy, heavy
"""


def test_names_include_variants() -> None:
    names = workloads.names()
    assert list(names) == sorted(names)
    assert {"cifar", "mnist", "ogbg", "ogbg_gelu", "ogbg_model_size", "ogbg_silu"} <= set(names)
    assert set(workloads.base_names()) <= set(names)
    assert not {"ogbg_gelu", "ogbg_model_size"} & set(workloads.base_names())


@pytest.mark.parametrize("name", workloads.names())
def test_a_workload_knows_its_names(name: str) -> None:
    workload = workloads.load(name)
    assert workload.name == name
    assert workload.base_name == workloads.base_name(name)
    assert name == workload.base_name or name.startswith(f"{workload.base_name}_")


def test_a_variant_by_argument_is_the_variant_by_name() -> None:
    by_name, by_argument = (workloads.load(*names, data_dir="D", **arguments) for names, arguments in VARIANTS)
    assert by_name.goal == by_argument.goal != workloads.load("ogbg", data_dir="D").goal
    assert by_name.name == by_argument.name == "ogbg_gelu"


VARIANTS = ((("ogbg_gelu",), {}), (("ogbg",), {"activation": "gelu"}))


@pytest.mark.parametrize(
    ("name", "arguments", "known_as"),
    [
        ("ogbg", {"activation": "relu", "latent_dim": 256}, "ogbg"),
        ("ogbg", {"hidden_dims": [256, 256], "latent_dim": 128, "num_message_passing_steps": 3}, "ogbg_model_size"),
        ("ogbg_gelu", {"activation": "relu"}, "ogbg"),
        ("fastmri", {"size": "wide"}, "fastmri_model_size"),
    ],
)
def test_arguments_are_those_of_a_name_however_they_are_written(
    name: str, arguments: dict[str, Any], known_as: str
) -> None:
    workload = workloads.load(name, data_dir="D", **arguments)
    assert workload.name == known_as
    assert workload.goal == workloads.load(known_as, data_dir="D").goal


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ogbg_gelu", {"latent_dim": 128}),
        ("fastmri_tanh", {"normalization": "layer"}),
        ("imagenet_resnet_silu", {"bn_init_scale": 8.0}),
        ("imagenet_vit_glu", {"use_map": True}),
        ("wmt_post_ln", {"use_glu": True}),
    ],
)
def test_a_model_without_published_target_has_none(name: str, arguments: dict[str, Any]) -> None:
    real, builtin = workloads.load(name, data_dir="D", **arguments), workloads.load(name, **arguments)
    assert not real.goal.has_target
    assert real.name == builtin.name == f"{real.base_name}_custom"
    assert real.name not in workloads.names()
    assert real.budget == workloads.load(name, data_dir="D").budget
    assert builtin.goal.has_target, "built-in data have a target for every model"


def test_what_is_small_has_no_target_on_real_data() -> None:
    assert [name for name in workloads.names() if not workloads.load(name, data_dir="D").goal.has_target] == [
        "criteo1tb_small",
        "fastmri_small",
        "finewebedu_lm_small",
        "imagenet_resnet_small",
        "imagenet_vit_small",
        "librispeech_conformer_small",
        "librispeech_deepspeech_small",
        "wmt_small",
    ]


def test_registered_workloads_exist_while_the_context_is_open() -> None:
    entry = workloads.Entry(
        "tests.algoperf_jax.tiny_workload",
        base=workloads.Variant(suite="mlbench"),
        variants={"wide": workloads.Variant({"width": 16})},
    )
    before = workloads.names()
    with workloads.registered("plugin", entry):
        assert set(workloads.names()) == {*before, "plugin", "plugin_wide"}
        assert workloads.variant_names("plugin") == ("plugin", "plugin_wide")
        assert workloads.load("plugin", width=16).name == "plugin_wide"
        assert [workloads.suite(name) for name in ("plugin", "plugin_wide")] == ["mlbench", "development"]
    assert workloads.names() == before


@pytest.mark.parametrize("name", ["ogbg", "ogbg_gelu"])
def test_a_name_is_registered_once(name: str) -> None:
    entry = workloads.Entry("tests.algoperf_jax.tiny_workload")
    with pytest.raises(ConfigError, match=f"name of a workload: found '{name}'"), workloads.registered(name, entry):
        pass
    assert workloads.load(name).base_name == "ogbg"


@pytest.mark.parametrize(("misspelt", "nearest"), [("minst", "mnist"), ("ogbg_glu", "ogbg_gelu"), ("cifar10", "cifar")])
def test_an_unknown_name_is_answered_with_the_nearest(misspelt: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown workload: found '{misspelt}'.*Did you mean '{nearest}'"):
        workloads.load(misspelt)


def test_an_unrelated_name_is_answered_with_all_names() -> None:
    with pytest.raises(ConfigError, match=", ".join(workloads.names())):
        workloads.load("zzz")


def test_a_small_variant_represents_its_workload_where_there_is_one() -> None:
    small = {"criteo1tb_small", "fastmri_small", "imagenet_resnet_small", "imagenet_vit_small", "wmt_small"}
    assert {*small, "cifar", "mnist", "ogbg"} <= set(workloads.light_names())
    assert all(workloads.suite(name) == "development" for name in small)
    assert [workloads.base_name(name) for name in workloads.light_names()] == list(workloads.base_names())


def test_a_workload_is_loaded_without_the_others() -> None:
    result = subprocess.run([sys.executable, "-c", LOAD_OGBG], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
