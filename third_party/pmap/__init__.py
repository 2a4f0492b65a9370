"""Support for JAX submissions from the benchmark's first years, which use `jax.pmap`.

They expect a leading axis of devices: in the parameters and the model state, which are copied along it, and in batches,
which are split along it. Everything else is as for other JAX submissions.
"""
