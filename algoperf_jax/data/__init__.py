"""Input pipelines, and the words for the stages that a batch passes.

- *source*: the examples of a data set by split, generated or prepared (`sources`). Prepared ones are files of blocks
  (`prepared`, `blocks`): whole columns in memory, records read one by one (`records`), or rows read by blocks
  (`block_rows`).
- *order*: which examples a batch takes, a pure function of seed and position (`shuffle`, `permutation`), and which of
  them share a shard or a row where sizes differ (`packing`, `sequences`).
- *reader*: a split opened for one batch size. `SplitReader.batch(k)` makes this process's rows of global batch `k`
  (`arrays`), with the help of other processes where it is much work (`workers`).
- *put*: the transfer of a batch to the devices, and its last stage there. `SplitReader.put` does both.
- *feed*: batches 0, 1, 2, ... of a reader on the devices, made ahead of the training (`feed`). It keeps the position
  for a resume. The benchmark's interface calls the feed `input_queue` where it is an argument of a submission.
"""
