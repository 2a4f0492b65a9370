"""JAX submissions of the benchmark's first years, whose steps are `jax.pmap`s.

They expect a leading axis of devices: in the parameters and the model state, which are copied along it, and in batches,
which are split along it. Everything else is as for other JAX submissions.
"""
