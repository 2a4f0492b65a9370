"""PyTorch with several optimizer steps per update: it reads the queue of batches, and replaces data of parameters."""

import copy
import math

import torch
from algorithmic_efficiency import spec


class Average:
    """A mean of parameters with the interface that optimizers have."""

    def __init__(self, params):
        self.params = list(params)
        self.mean = [p.detach().clone() for p in self.params]
        self.count = 0

    def state_dict(self):
        return {"mean": self.mean, "count": self.count}

    def load_state_dict(self, state):
        self.mean, self.count = state["mean"], state["count"]

    def update(self):
        self.count += 1
        for mean, p in zip(self.mean, self.params, strict=True):
            mean.lerp_(p.detach(), 1 / self.count)


def get_batch_size(workload_name):
    return 32


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    optimizer = torch.optim.AdamW(model_params.parameters(), lr=1e-2)
    return {"optimizer": optimizer, "average": Average(model_params.parameters())}


def update_params(
    workload,
    current_param_container,
    current_params_types,
    model_state,
    hyperparameters,
    batch,
    loss_type,
    optimizer_state,
    eval_results,
    global_step,
    rng,
):
    queue, model = batch, current_param_container
    steps = math.ceil(workload.eval_period_time_sec / (workload.max_allowed_runtime_sec / workload.step_hint) * 0.03)
    for _ in range(min(steps, 3)):
        batch = next(queue)
        optimizer_state["optimizer"].zero_grad()
        logits, _ = workload.model_fn(
            params=model,
            augmented_and_preprocessed_input_batch=batch,
            model_state=model_state,
            mode=spec.ForwardPassMode.TRAIN,
            rng=rng,
            update_batch_norm=True,
        )
        losses = workload.loss_fn(label_batch=batch["targets"], logits_batch=logits, mask_batch=batch.get("weights"))
        (losses["summed"] / losses["n_valid_examples"]).backward()
        optimizer_state["optimizer"].step()
    optimizer_state["average"].update()
    for p, mean in zip(model.parameters(), optimizer_state["average"].mean, strict=True):
        p.data = copy.deepcopy(0.5 * p.data + 0.5 * mean)
    return optimizer_state, current_param_container, model_state


def data_selection(
    workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters, global_step, rng
):
    return input_queue
