"""The module `algoperf.spec`: this project's types under the names that submissions use.

Most names occur only in annotations. Python evaluates these when a submission is imported, so each name must exist.
"""

from collections.abc import Callable
from typing import Any

from algoperf_jax.framework.workload_view import WorkloadView
from algoperf_jax.parameters import ShapeTuple as ShapeTuple
from algoperf_jax.submission.interface import ForwardPassMode as ForwardPassMode
from algoperf_jax.submission.interface import TrainingCompleteError as TrainingCompleteError
from algoperf_jax.workload import LossType as LossType
from algoperf_jax.workload import ParameterType as ParameterType

Workload = WorkloadView
Tensor = Any
Shape = tuple[int, ...] | ShapeTuple
ParameterShapeTree = dict[str, Any]
ParameterKey = str
ParameterContainer = Any
ParameterTypeTree = dict[str, Any]
RandomState = Any
OptimizerState = Any
Hyperparameters = Any
Timing = int
Steps = int
ModelAuxiliaryState = Any
ModelInitState = tuple[ParameterContainer, ModelAuxiliaryState]
UpdateReturn = tuple[OptimizerState, ParameterContainer, ModelAuxiliaryState]
InitOptimizerFn = Callable[..., OptimizerState]
UpdateParamsFn = Callable[..., UpdateReturn]
PrepareForEvalFn = Callable[..., UpdateReturn]
DataSelectionFn = Callable[..., Any]
