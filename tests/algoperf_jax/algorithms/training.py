"""Calls submissions as the trial loop does."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from algoperf_jax.assembly import hyperparameter_point
from algoperf_jax.data.feed import DeviceFeed
from algoperf_jax.devices.mesh import Layout, make_layout
from algoperf_jax.framework.jax_view import JaxView
from algoperf_jax.submission.interface import ForwardPassMode, Submission
from algoperf_jax.submission.load import load_submission
from algoperf_jax.submission.locate import locate
from algoperf_jax.workload import Workload
from tests.algoperf_jax import tiny_workload

KEY = jax.random.PRNGKey(0)
WORKLOAD = tiny_workload.build("tiny")
LAYOUT = make_layout(2)


@dataclasses.dataclass
class Training:
    """A run in progress; `loss` evaluates any parameters."""

    submission: Submission
    hyperparameters: Any
    view: Any
    queue: Iterator[Any]
    params: Any
    optimizer_state: Any
    model_state: Any = None
    steps: int = 0

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            batch = self.submission.data_selection(
                self.view,
                self.queue,
                self.optimizer_state,
                self.params,
                self.model_state,
                self.hyperparameters,
                self.steps,
                KEY,
            )
            self._replace(self.submission.update_params(batch=batch, **self._arguments()))
            self.steps += 1

    def prepare_for_eval(self) -> None:
        if self.submission.prepare_for_eval is not None:
            self._replace(self.submission.prepare_for_eval(**self._arguments()))

    def loss(self) -> float:
        """The loss, on all validation examples, of the parameters that would be evaluated now."""
        batch = tiny_workload.points("validation")
        logits, _ = self.view.model_fn(self.params, batch, None, ForwardPassMode.EVAL, KEY, False)
        loss = self.view.loss_fn(batch["targets"], logits)
        return float(loss["summed"] / loss["n_valid_examples"])

    def _arguments(self) -> dict[str, Any]:
        return {
            "workload": self.view,
            "current_param_container": self.params,
            "current_params_types": None,
            "model_state": self.model_state,
            "hyperparameters": self.hyperparameters,
            "loss_type": None,
            "optimizer_state": self.optimizer_state,
            "eval_results": [],
            "global_step": self.steps,
            "rng": jax.random.fold_in(KEY, self.steps),
        }

    def _replace(self, returned: Any) -> None:
        self.optimizer_state, self.params, self.model_state = returned


def training(name: str, layout: Layout = LAYOUT, workload: Workload = WORKLOAD, **point: Any) -> Training:
    """An algorithm at the start of a run; ignores names in the point that it does not declare."""
    submission = load_submission(locate(name), workload)
    view = JaxView(workload, layout=layout)
    declared = submission.hyperparameters or {}
    hyperparameters = hyperparameter_point(
        submission, {key: value for key, value in point.items() if key in declared}, "external"
    )
    reader = workload.data.open("train", batch_size=workload.batch_size, seed=0, placement=layout.placement)
    params, model_state = view.init_model_fn(KEY)
    state = submission.init_optimizer_state(view, params, model_state, hyperparameters, KEY)
    queue = DeviceFeed(reader, layout.put_batch)
    return Training(submission, hyperparameters, view, queue, params, state, model_state)


def arrays(tree: Any) -> list[Any]:
    return [leaf for leaf in jax.tree.leaves(tree) if isinstance(leaf, jax.Array)]


def on_host(tree: Any) -> Any:
    return jax.tree.map(np.array, tree)
