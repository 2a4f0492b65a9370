"""Checks from its source whether a submission follows the benchmark's rules and interface.

`static` is the entry point; `algoperf_jax/check_submission/` is the command, which also calls the functions.
"""
