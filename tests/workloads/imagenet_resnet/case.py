from tests.workloads.case import Case
from tests.workloads.imagenet.reduced_images import noise

CASE = Case(reduced={"": {"size": "small"}}, reduced_batch=noise)
