import subprocess
import sys

import pytest

import workloads
from algoperf_jax.errors import ConfigError

# What an import brings in shows only in a fresh process.
LOAD_OGBG = """
import sys
import workloads
before = [name for name in sys.modules if name.startswith("workloads.")]
assert before == [], before
workloads.load("ogbg_gelu")
packages = {name.split(".")[1] for name in sys.modules if name.startswith("workloads.")}
others = packages & (set(workloads.base_names()) - {"ogbg"})
assert "ogbg" in packages and not others, packages
heavy = {"torch", "tensorflow"} & set(sys.modules)
assert not heavy, heavy
"""


def test_names_hold_variants() -> None:
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
    assert by_argument.name == "ogbg"


VARIANTS = ((("ogbg_gelu",), {}), (("ogbg",), {"activation": "gelu"}))


@pytest.mark.parametrize(("misspelt", "nearest"), [("minst", "mnist"), ("ogbg_glu", "ogbg_gelu"), ("cifar10", "cifar")])
def test_an_unknown_name_is_answered_with_the_nearest(misspelt: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown workload: found '{misspelt}'.*Did you mean '{nearest}'"):
        workloads.load(misspelt)


def test_a_name_like_no_other_is_answered_with_all() -> None:
    with pytest.raises(ConfigError, match=", ".join(workloads.names())):
        workloads.load("zzz")


def test_a_small_variant_represents_its_workload_where_there_is_one() -> None:
    assert {"imagenet_resnet_small", "imagenet_vit_small", "mnist", "ogbg"} <= set(workloads.light_names())
    assert [workloads.base_name(name) for name in workloads.light_names()] == list(workloads.base_names())


def test_a_workload_is_loaded_without_the_others() -> None:
    result = subprocess.run([sys.executable, "-c", LOAD_OGBG], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
