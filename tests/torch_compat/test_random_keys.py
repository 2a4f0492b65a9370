"""The source of a PyTorch submission's random numbers, and that they resume."""

import itertools
import pathlib
from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.algoperf_jax.conftest import Command
from torch_compat.random_keys import dropout_seed

Write = Callable[..., pathlib.Path]


def test_every_bit_of_the_key_and_every_rank_gives_another_seed() -> None:
    key = np.asarray([0x12345678, 0x9ABCDEF0], np.uint32)
    bits = [np.asarray([1 << bit, 0], np.uint32) for bit in range(32)]
    keys = [key, *(key ^ flipped for bit in bits for flipped in (bit, bit[::-1]))]
    seeds = [dropout_seed(each, rank) for each, rank in itertools.product(keys, range(16))]
    # 1,040 numbers of 32 bits: they all differ except with a chance of 1 in 8,000, and are the same in every run.
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**32 for seed in seeds)
    # About half of the bits change with each bit of the key, so that no part of the seed depends on only a part of the
    # key.
    changed = [(dropout_seed(each, 0) ^ dropout_seed(key, 0)).bit_count() for each in keys[1:]]
    assert 13 < float(np.mean(changed)) < 19
    assert min(changed) > 4


def test_seeds_give_other_masks_on_cpus() -> None:
    key = np.asarray([5, 6], np.uint32)
    keys = [key, key + np.uint32(1 << 16), key + np.uint32(1 << 31)]
    masks = set()
    for each, rank in itertools.product(keys, range(3)):
        generator = torch.Generator().manual_seed(dropout_seed(each, rank))
        masks.add(tuple(torch.randint(2, (64,), generator=generator).tolist()))
    assert len(masks) == 9


def test_keys_may_come_as_signed_integers() -> None:
    unsigned = np.asarray([2**32 - 1, 2**31], np.uint32)
    assert dropout_seed(unsigned, 1) == dropout_seed(unsigned.astype(np.int32), 1)


STEP = """
import os, random, signal
import numpy as np

def update_params(optimizer_state, current_param_container, global_step, **rest):
    optimizer = optimizer_state["optimizer"]
    if global_step == 1:
        optimizer.add_param_group({"params": list(current_param_container.parameters())[1:], "lr": 0.05})
    optimizer.zero_grad()
    # Numbers of all three states; a mistake in one shows in the parameters.
    scale = 1 + random.random() + np.random.rand() + torch.rand(())
    sum((scale * (parameter - 1) ** 2).sum() for parameter in current_param_container.parameters()).backward()
    optimizer.step()
    values = [parameter.double().sum().item() for parameter in current_param_container.parameters()]
    print("step", global_step, values, [len(group["params"]) for group in optimizer.param_groups])
    if global_step == STOP_AFTER:
        os.kill(os.getpid(), signal.SIGTERM)
    return optimizer_state, current_param_container, None

def init_optimizer_state(workload, params, model_state, hyperparameters, rng):
    return {"optimizer": torch.optim.SGD(list(params.parameters())[:1], lr=0.01, momentum=0.9)}
"""


def test_random_states_and_parameter_groups_that_were_added_resume_bit_for_bit(
    command: Command, submission: Write, tmp_path: pathlib.Path
) -> None:
    def steps(path: pathlib.Path) -> list[str]:
        arguments = (f"--config.submission={path}", "--config.eval_period_sec=1e-9", "--config.max_steps=6")
        finished = command(*arguments, defaults=(f"--config.experiment_dir={tmp_path}",))
        assert finished.code == 0, finished
        return [line for line in finished.out.splitlines() if line.startswith("step ")]

    whole = steps(submission("STOP_AFTER = None", STEP, name="whole.py"))
    halves = submission("STOP_AFTER = 2", STEP, name="halves.py")
    first, second = steps(halves), steps(halves)
    assert (len(first), len(second)) == (3, 3)
    assert first + second == whole
    assert whole[-1].endswith("[1, 3]")


TENSOR = """
def add(module):
    if not hasattr(module, "more"):
        module.register_buffer("more", torch.ones(2))

def update_params(optimizer_state, current_param_container, global_step, **rest):
    UPDATE
    return optimizer_state, current_param_container, None

def init_optimizer_state(workload, params, model_state, hyperparameters, rng):
    INIT
    return {}
"""


def test_a_tensor_that_a_resumed_module_would_lack_is_named_at_the_first_checkpoint(
    command: Command, submission: Write
) -> None:
    during = TENSOR.replace("UPDATE", "add(current_param_container)").replace("INIT", "pass")
    before = TENSOR.replace("UPDATE", "pass").replace("INIT", "add(params)")
    error = command(f"--config.submission={submission(during)}").error()
    assert "the submission added the tensor 'more' of the module during training" in error
    assert command(f"--config.submission={submission(before, name='before.py')}").code == 0


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_any_seed_of_a_trial_works(seed: int, command: Command, submission: Write) -> None:
    assert command(f"--config.submission={submission()}", f"--config.seed={seed}", "--config.max_steps=1").code == 0
