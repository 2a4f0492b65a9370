"""The package that published submissions import as `algoperf`, or by its earlier name `algorithmic_efficiency`.

While a submission is loaded and run, both names refer to this package; see `algoperf_jax.submission.imports`.
"""
