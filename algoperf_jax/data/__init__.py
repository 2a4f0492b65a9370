"""Input pipelines.

A batch passes these stages:

- *source*: the examples of a data set by split, generated or prepared (`sources`). Prepared data are files of blocks
  (`prepared`, `blocks`), which are used as whole columns in memory, records read one by one (`records`), or rows read
  block by block (`block_rows`).
- *order*: which examples a batch takes, a pure function of seed and position (`shuffle`, `permutation`), and which of
  them share a shard or a row if their sizes differ (`packing`, `sequences`).
- *reader*: a split opened for one batch size. `SplitReader.batch(k)` makes this process's rows of global batch `k`
  (`arrays`), with the help of worker processes if that is costly (`workers`).
- *put*: the transfer of a batch to the devices, and its last stage there. `SplitReader.put` does both.
- *feed*: batches 0, 1, 2, ... of a reader on the devices, made ahead of the training (`feed`). It keeps the position
  for a resume. The benchmark's interface calls this argument of submissions `input_queue`.
"""
