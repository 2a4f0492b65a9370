"""PyTorch with an optimizer, a chain of schedulers and plain values in its state; sums losses over processes itself."""

import collections

import torch
import torch.distributed.nn as dist_nn
from absl import logging
from algoperf import spec
from algoperf.pytorch_utils import pytorch_setup
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

USE_PYTORCH_DDP = pytorch_setup()[0]
HPARAMS = {"learning_rate": 1e-2, "label_smoothing": 0.1, "warmup_factor": 0.05}
HPARAMS = collections.namedtuple("Hyperparameters", HPARAMS)(**HPARAMS)


def get_batch_size(workload_name):
    return 32


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    if not hasattr(hyperparameters, "learning_rate"):
        hyperparameters = HPARAMS
    optimizer = torch.optim.NAdam(model_params.parameters(), lr=hyperparameters.learning_rate, foreach=True)
    warmup_steps = int(HPARAMS.warmup_factor * workload.step_hint)
    warmup = LinearLR(optimizer, start_factor=1e-10, end_factor=1.0, total_iters=warmup_steps)
    cosine = CosineAnnealingLR(optimizer, T_max=max(workload.step_hint * 0.75, 1))
    scheduler = SequentialLR(optimizer, schedulers=[warmup, cosine], milestones=[warmup_steps])
    return {"optimizer": optimizer, "scheduler": scheduler, "hyperparameters": hyperparameters, "steps": 0}


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
    train_state=None,
):
    model = current_param_container
    model.train()
    optimizer_state["optimizer"].zero_grad()
    logits, new_model_state = workload.model_fn(
        params=model,
        augmented_and_preprocessed_input_batch=batch,
        model_state=model_state,
        mode=spec.ForwardPassMode.TRAIN,
        rng=rng,
        update_batch_norm=True,
        dropout_rate=0.1,
    )
    losses = workload.loss_fn(
        label_batch=batch["targets"],
        logits_batch=logits,
        mask_batch=batch.get("weights"),
        label_smoothing=optimizer_state["hyperparameters"].label_smoothing,
    )
    summed, count = losses["summed"], losses["n_valid_examples"]
    if USE_PYTORCH_DDP:
        summed, count = dist_nn.all_reduce(summed), dist_nn.all_reduce(count)
    loss = summed / count
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
    optimizer_state["optimizer"].step()
    optimizer_state["scheduler"].step()
    optimizer_state["steps"] += 1
    if global_step <= 100 and workload.metrics_logger is not None:
        workload.metrics_logger.append_scalar_metrics({"loss": loss.item(), "grad_norm": norm.item()}, global_step)
        logging.info("%d) loss = %0.3f", global_step, loss.item())
    return optimizer_state, current_param_container, new_model_state


def data_selection(
    workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters, global_step, rng
):
    return next(input_queue)
