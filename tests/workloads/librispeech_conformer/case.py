from tests.workloads.speech.batches import CASE as CASE
