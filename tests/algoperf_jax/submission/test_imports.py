"""The imports of a submission resolve only while it runs, each file to one module."""

import importlib
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from algoperf_jax import workload
from algoperf_jax.errors import SubmissionError
from algoperf_jax.submission import imports, interface
from algoperf_jax.submission.locate import locate
from third_party.algoperf import jax_sharding_utils, pytorch_utils, spec


def write(path: pathlib.Path, text: str) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_both_names_of_the_reference_mean_the_same_modules(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "submission.py", "from algoperf import spec\nimport algorithmic_efficiency.spec as other")
    with imports.submission_imports(locate(str(path))):
        module = imports.import_file(path)
        assert module.spec is module.other is spec
        assert module.spec.__spec__.name == "third_party.algoperf.spec"
    for name in ("algoperf", "algoperf.spec", "algorithmic_efficiency"):
        assert name not in sys.modules
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(name)


@pytest.mark.parametrize("name", ["algoperf.workloads.mnist", "algorithmic_efficiency.halton"])
def test_other_parts_of_the_reference_are_missing(tmp_path: pathlib.Path, name: str) -> None:
    path = write(tmp_path / "submission.py", f"import {name}")
    with (
        imports.submission_imports(locate(str(path))),
        pytest.raises(ModuleNotFoundError, match=name.rpartition(".")[0]),
    ):
        imports.import_file(path)


def test_a_module_of_the_same_name_is_set_aside(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = type(sys)("tools_of_a_submission")
    monkeypatch.setitem(sys.modules, "tools_of_a_submission", theirs)
    path = write(tmp_path / "submission.py", "import tools_of_a_submission as tools")
    write(tmp_path / "tools_of_a_submission.py", "x = 1")
    with imports.submission_imports(locate(str(path))):
        assert imports.import_file(path).tools.x == 1
    assert sys.modules["tools_of_a_submission"] is theirs


def test_a_file_runs_once_for_each_run(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "submission.py", "import rule, json\nfrom . import rule as same\nassert rule is same")
    write(
        tmp_path / "rule.py",
        "import pathlib\nwith open(pathlib.Path(__file__).with_suffix('.log'), 'a') as f: f.write('x')",
    )
    for count in (1, 2):
        with imports.submission_imports(locate(str(path))):
            imports.import_file(path)
            imports.import_file(path)
        assert (tmp_path / "rule.log").read_text() == "x" * count
    assert not list(tmp_path.rglob("__pycache__"))


def test_names_that_appear_at_run_time_are_found(tmp_path: pathlib.Path) -> None:
    path = write(
        tmp_path / "team" / "submission.py", "import importlib\nf = lambda: importlib.import_module('team.rule')"
    )
    write(tmp_path / "team" / "rule.py", "x = 3")
    with imports.submission_imports(locate(str(path))):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("team.rule")  # no other package has this name
        assert imports.import_file(path).f().x == 3
    assert "team.rule" not in sys.modules


def test_the_names_that_submissions_annotate_with_exist() -> None:
    hooks = ("UpdateReturn", "InitOptimizerFn", "UpdateParamsFn", "PrepareForEvalFn", "DataSelectionFn")
    parameters = ("ParameterContainer", "ParameterTypeTree", "ParameterType", "ParameterShapeTree", "ParameterKey")
    types = ("Tensor", "Shape", "ShapeTuple", "RandomState", "Timing", "Steps", "LossType", "ForwardPassMode")
    others = ("Workload", "Hyperparameters", "OptimizerState", "ModelAuxiliaryState", "ModelInitState")
    names = (*hooks, *parameters, *types, *others, "TrainingCompleteError")
    assert not [name for name in names if not hasattr(spec, name)]
    assert spec.TrainingCompleteError is interface.TrainingCompleteError
    assert spec.LossType is workload.LossType
    assert [(mode.name, mode.value) for mode in spec.ForwardPassMode] == [("TRAIN", 0), ("EVAL", 1)]
    assert [loss.value for loss in spec.LossType] == [0, 1, 2, 3, 4]
    assert [kind.value for kind in spec.ParameterType] == list(range(15))


def test_shardings_follow_the_mesh_of_the_run() -> None:
    jax_sharding_utils.use_mesh(None)
    assert jax_sharding_utils.get_batch_dim_sharding().num_devices == jax.device_count()
    mesh = jax.sharding.Mesh(np.asarray(jax.devices()[:2]), ("batch",))
    jax_sharding_utils.use_mesh(mesh)
    try:
        assert jax_sharding_utils.get_replicate_sharding().mesh == mesh
        sharded = jax_sharding_utils.shard_along_batch_dim({"x": np.arange(4)})["x"]
        assert {shard.data.shape for shard in sharded.addressable_shards} == {(2,)}
        assert jax_sharding_utils.replicate(np.arange(4)).sharding.is_fully_replicated
    finally:
        jax_sharding_utils.use_mesh(None)


def test_where_a_pytorch_submission_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert pytorch_utils.pytorch_setup() == (False, 0, torch.device("cpu"), 0)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert pytorch_utils.pytorch_setup()[:2] == (True, 1)


def test_removed_names_of_jax_exist_for_submissions_that_need_them(tmp_path: pathlib.Path) -> None:
    old = write(
        tmp_path / "old.py",
        """
import jax, jax.numpy as jnp
def f(x: jax.random.KeyArray):
    x = jax.tree_map(lambda leaf: jnp.clip(leaf, a_min=0.0, a_max=1.0), x)
    leaves, structure = jax.tree_flatten(x)
    stacked = jax.device_put_replicated(x, jax.local_devices())
    return jax.tree_unflatten(structure, jax.tree_leaves(x)), stacked
""",
    )
    new = write(tmp_path / "new.py", "import jax")
    with imports.submission_imports(locate(str(old))):
        x, stacked = imports.import_file(old).f({"a": jnp.asarray([-1.0, 0.5])})
        np.testing.assert_array_equal(x["a"], [0.0, 0.5])
        assert stacked["a"].shape == (jax.device_count(), 2)
    for _ in range(2):
        with imports.submission_imports(locate(str(new))):
            assert not hasattr(jax, "tree_map")
        with pytest.raises(TypeError):
            jnp.clip(jnp.zeros(()), a_min=0.0)  # pyright: ignore[reportCallIssue]


def test_an_import_that_fails_leaves_nothing_behind(tmp_path: pathlib.Path) -> None:
    from algoperf_jax.submission.load import load_submission
    from workloads import load

    path = write(tmp_path / "submission.py", "from algoperf import spec\nimport no_such_library_anywhere")
    finders = list(sys.meta_path)
    with (
        pytest.raises(SubmissionError, match="no_such_library_anywhere"),
        imports.submission_imports(locate(str(path))),
    ):
        load_submission(locate(str(path)), load("mnist"))
    assert sys.meta_path == finders
    assert not imports.is_active()
    assert not [name for name in sys.modules if name.startswith(("algoperf.", "submission_files"))]
