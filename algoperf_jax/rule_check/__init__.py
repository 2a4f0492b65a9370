"""Checks whether a submission follows the benchmark's rules and interface.

`static` reads its source, `dynamic` calls its functions; `algoperf_jax/check_submission/__main__.py` is the command.
"""
