"""Submissions: their interface, and how one is found, loaded and called."""

from algoperf_jax.submission.interface import ForwardPassMode as ForwardPassMode
from algoperf_jax.submission.interface import TrainingCompleteError as TrainingCompleteError
