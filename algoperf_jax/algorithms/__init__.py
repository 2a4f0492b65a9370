"""Ready-made training algorithms, one per file; `--config.submission=<file name>` selects one."""
