from tests.workloads.case import Case

# Inputs of several hundred amplify the rounding of sums.
CASE = Case(devices_rtol=1e-4)
