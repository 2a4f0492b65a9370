from tests.workloads.case import Case

CASE = Case()
