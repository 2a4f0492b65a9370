"""The backend of JAX submissions that use `jax.pmap`."""

import jax
import numpy as np

from algoperf_jax.devices.evaluation import Evaluator
from algoperf_jax.devices.mesh import Layout
from algoperf_jax.framework.jax_backend import JaxBackend
from algoperf_jax.workload import Batch, Finish, ModelState, Parameters
from third_party.pmap.pmap_view import PmapView


class PmapBackend(JaxBackend):
    """Device work with a leading axis of devices; see `backend.Backend`."""

    def __init__(self, view: PmapView, layout: Layout, evaluator: Evaluator) -> None:
        super().__init__(view, layout, evaluator)
        self._first = jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf[0], tree), out_shardings=layout.replicated)
        self._synchronized = view.sync_batch_stats
        self._count = layout.mesh.devices.size

    def put_batch(self, batch: Batch, finish: Finish | None = None) -> Batch:
        """Puts each device's part of a batch on it: [devices, examples of one device, ...]."""

        def split(rows: np.ndarray) -> np.ndarray:
            return rows.reshape(self._count, rows.shape[0] // self._count, *rows.shape[1:])

        return super().put_batch(jax.tree.map(split, batch), finish)

    def for_evaluation(self, params: Parameters, model_state: ModelState) -> tuple[Parameters, ModelState]:
        return self._first((params, self._synchronized(model_state)))

    def explain(self, error: BaseException) -> str:
        explained = super().explain(error)
        if explained or "pmap" not in str(error):
            return explained
        return (
            "It uses jax.pmap and gets arrays with a leading axis of devices; "
            "if it expects none, set --config.framework=jax."
        )
