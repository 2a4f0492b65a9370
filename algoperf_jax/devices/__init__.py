"""The devices of a run: mesh, processes, precision, evaluation, and counters of compilations and host reads."""
