"""Ready-made training algorithms, each one file; `--config.submission=<file name>` picks one."""
