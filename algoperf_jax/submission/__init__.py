"""Submissions: their interface, and the code that finds, loads and calls them."""

from algoperf_jax.submission.interface import ForwardPassMode as ForwardPassMode
from algoperf_jax.submission.interface import TrainingCompleteError as TrainingCompleteError
