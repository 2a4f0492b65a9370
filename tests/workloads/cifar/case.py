from tests.workloads.case import Case

CASE = Case(compiles_quickly=False)
