"""The JAX backend rejects invalid results of submissions."""

import jax
import jax.numpy as jnp
import pytest

from algoperf_jax.devices.mesh import make_layout
from algoperf_jax.errors import SubmissionError
from algoperf_jax.framework.jax_backend import JaxBackend
from algoperf_jax.framework.jax_view import JaxView
from tests.algoperf_jax import tiny_workload


def test_parameters_of_another_type_are_refused_by_name() -> None:
    layout = make_layout(1)
    backend = JaxBackend(JaxView(tiny_workload.build("tiny"), layout=layout), layout, None)  # pyright: ignore[reportArgumentType]
    params, _ = backend.initialize(jax.random.PRNGKey(0))
    backend.check_update("update_params", params)
    params["Dense_1"]["kernel"] = params["Dense_1"]["kernel"].astype(jnp.bfloat16)
    with pytest.raises(SubmissionError, match=r"update_params .*Dense_1/kernel of type.*bfloat16.*expected float32"):
        backend.check_update("update_params", params)
    del params["Dense_1"]["kernel"]
    with pytest.raises(SubmissionError, match="parameters of 3 arrays; expected the 4 arrays"):
        backend.check_update("update_params", params)
