"""What published submissions import as `algoperf`, or by its earlier name `algorithmic_efficiency`.

While a submission is loaded and run, both names mean this package; see `algoperf_jax.submission.imports`.
"""
