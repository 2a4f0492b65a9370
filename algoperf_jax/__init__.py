"""The AlgoPerf training-algorithms benchmark, JAX-native.

`python -m algoperf_jax.main --config=configs/ogbg.py` runs a trial; the package's modules are its parts. Nothing heavy
is imported here.
"""

__version__ = "0.1.0"
