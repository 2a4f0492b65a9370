"""PyTorch with an optimizer that evaluates a closure at another point, and forward passes without gradients."""

import torch
from algorithmic_efficiency import spec


class LookingAhead(torch.optim.Optimizer):
    """Computes the gradient at a point ahead of the averaged parameters, which are kept as state."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr, "count": 0})

    def step(self, closure=None):
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    z = self.state[p].setdefault("z", torch.clone(p, memory_format=torch.preserve_format))
                    p.lerp_(z, weight=0.1)
        with torch.enable_grad():
            loss = closure()
        with torch.no_grad():
            for group in self.param_groups:
                group["count"] += 1
                for p in group["params"]:
                    z = self.state[p]["z"]
                    p.lerp_(z, weight=-0.1 / 0.9)
                    z.sub_(p.grad, alpha=group["lr"])
                    p.lerp_(z, weight=1 / group["count"])
        return loss


def get_batch_size(workload_name):
    return 32


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    return {"optimizer": LookingAhead(model_params.parameters(), lr=0.1), "has_reset": False}


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
    model = current_param_container
    optimizer = optimizer_state["optimizer"]

    def forward(update_batch_norm):
        return workload.model_fn(
            params=model,
            augmented_and_preprocessed_input_batch=batch,
            model_state=model_state,
            mode=spec.ForwardPassMode.TRAIN,
            rng=rng,
            update_batch_norm=update_batch_norm,
        )[0]

    if any(hasattr(layer, "running_mean") for layer in model.modules()) and global_step % 3 == 0:
        with torch.no_grad():
            forward(update_batch_norm=True)

    def closure():
        optimizer.zero_grad()
        losses = workload.loss_fn(batch["targets"], forward(update_batch_norm=False), batch.get("weights"))
        loss = losses["summed"] / losses["n_valid_examples"]
        loss.backward()
        return loss

    optimizer.step(closure)
    if eval_results and eval_results[-1][1][f"validation/{workload.target_metric_name}"] > 2:
        optimizer_state["has_reset"] = True
    return optimizer_state, current_param_container, model_state


def data_selection(
    workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters, global_step, rng
):
    return next(input_queue)
