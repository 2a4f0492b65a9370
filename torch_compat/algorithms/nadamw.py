"""NadamW: Adam with Nesterov momentum (Dozat 2016) and decoupled weight decay (Loshchilov & Hutter 2019).

The algorithm of `algoperf_jax/algorithms/nadamw.py`, written in PyTorch for the benchmark's interface.
"""

from typing import Any

import torch

from algoperf_jax.algorithms.nadamw import Hyperparameters as Hyperparameters
from algoperf_jax.submission.interface import ForwardPassMode
from torch_compat.layers.collectives import sum_over_processes
from torch_compat.schedules import warmup_cosine

# The functions on lists of tensors that PyTorch's own optimizers use have no public names.
_foreach: Any = torch
_LOG_PERIOD_STEPS = 100
_FIRST_LOG_PERIOD_STEPS = 10


class NadamW(torch.optim.Optimizer):
    """The update of the JAX algorithm of this name, applied to all parameters at once.

    Its arguments are those of `torch.optim.AdamW`.
    """

    def __init__(self, params: Any, lr: float, betas: tuple[float, float], eps: float, weight_decay: float) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Takes a step; `closure`, if given, first recomputes the loss and the gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._step(group)
        return loss

    def _step(self, group: dict[str, Any]) -> None:
        params = [param for param in group["params"] if param.grad is not None]
        if not params:
            return
        grads = [param.grad for param in params]
        for param in params:
            if not self.state[param]:
                self.state[param] = {"first": torch.zeros_like(param), "second": torch.zeros_like(param)}
        first = [self.state[param]["first"] for param in params]
        second = [self.state[param]["second"] for param in params]
        count = group["count"] = group.get("count", 0) + 1
        beta1, beta2 = group["betas"]
        _foreach._foreach_lerp_(first, grads, 1 - beta1)
        _foreach._foreach_mul_(second, beta2)
        _foreach._foreach_addcmul_(second, grads, grads, 1 - beta2)

        denominator = _foreach._foreach_div(second, 1 - beta2**count)
        _foreach._foreach_sqrt_(denominator)
        _foreach._foreach_add_(denominator, group["eps"])
        # Looks one step ahead with the first moment, which already includes the gradient of this step.
        update = _foreach._foreach_mul(first, beta1 / (1 - beta1**count))
        _foreach._foreach_add_(update, grads, alpha=(1 - beta1) / (1 - beta1**count))
        _foreach._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        _foreach._foreach_addcdiv_(params, update, denominator, -group["lr"])


def init_optimizer_state(
    workload: Any, model_params: torch.nn.Module, model_state: Any, hyperparameters: Hyperparameters, rng: Any
) -> dict[str, Any]:
    """Makes the optimizer and its schedule."""
    del model_state, rng
    return make_state(NadamW, workload, model_params, hyperparameters)


def make_state(
    optimizer_class: Any, workload: Any, model_params: torch.nn.Module, hyperparameters: Hyperparameters
) -> dict[str, Any]:
    """Makes the state of an optimizer that takes the arguments of AdamW."""
    optimizer = optimizer_class(
        model_params.parameters(),
        lr=hyperparameters.learning_rate,
        betas=(1.0 - hyperparameters.one_minus_beta1, hyperparameters.beta2),
        eps=hyperparameters.epsilon,
        weight_decay=hyperparameters.weight_decay,
    )
    scheduler = warmup_cosine(optimizer, hyperparameters.warmup_factor, workload.step_hint)
    return {"optimizer": optimizer, "scheduler": scheduler}


def data_selection(
    workload: Any,
    input_queue: Any,
    optimizer_state: Any,
    current_param_container: Any,
    model_state: Any,
    hyperparameters: Any,
    global_step: int,
    rng: Any,
) -> Any:
    """Returns the next batch."""
    del workload, optimizer_state, current_param_container, model_state, hyperparameters, global_step, rng
    return next(input_queue)


def update_params(
    workload: Any,
    current_param_container: torch.nn.Module,
    current_params_types: Any,
    model_state: Any,
    hyperparameters: Hyperparameters,
    batch: Any,
    loss_type: Any,
    optimizer_state: dict[str, Any],
    eval_results: Any,
    global_step: int,
    rng: Any,
) -> tuple[dict[str, Any], torch.nn.Module, Any]:
    """Takes one step on the mean loss of the global batch."""
    del current_params_types, loss_type, eval_results
    optimizer_state["optimizer"].zero_grad()
    logits, model_state = workload.model_fn(
        params=current_param_container,
        augmented_and_preprocessed_input_batch=batch,
        model_state=model_state,
        mode=ForwardPassMode.TRAIN,
        rng=rng,
        update_batch_norm=True,
        dropout_rate=hyperparameters.dropout_rate,
    )
    loss = workload.loss_fn(
        label_batch=batch["targets"],
        logits_batch=logits,
        mask_batch=batch["weights"],
        label_smoothing=hyperparameters.label_smoothing,
    )
    # The mean over the global batch: the gradients add up over the processes, and the module averages them again.
    mean_loss = sum_over_processes(loss["summed"]) / sum_over_processes(loss["n_valid_examples"])
    mean_loss.backward()

    # More often at first, when the loss is most informative.
    period = _LOG_PERIOD_STEPS if global_step >= _LOG_PERIOD_STEPS else _FIRST_LOG_PERIOD_STEPS
    logger = workload.metrics_logger if global_step % period == 0 else None
    if hyperparameters.grad_clip is not None or logger is not None:
        limit = float("inf") if hyperparameters.grad_clip is None else hyperparameters.grad_clip
        grad_norm = torch.nn.utils.clip_grad_norm_(current_param_container.parameters(), limit)
        if logger is not None:
            logger.append_scalar_metrics({"loss": mean_loss, "grad_norm": grad_norm}, global_step)
    optimizer_state["optimizer"].step()
    optimizer_state["scheduler"].step()
    return optimizer_state, current_param_container, model_state
