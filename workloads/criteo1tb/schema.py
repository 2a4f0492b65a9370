"""The columns of a click log.

A row is int32 [40]: the label, 13 integers and 26 ids, in the order of the published files. Labels are 0 or 1.
Integers are as published, 0 where they are missing, and may be negative. An id is the bucket that a category is hashed
to, at least 0 and at most the size of its column, rounded to the nearest number that float32 can represent.
"""

NUM_INTEGERS = 13
NUM_CATEGORIES = 26
NUM_COLUMNS = 1 + NUM_INTEGERS + NUM_CATEGORIES

LABEL = 0
INTEGERS = slice(1, 1 + NUM_INTEGERS)
CATEGORIES = slice(1 + NUM_INTEGERS, NUM_COLUMNS)

COLUMN_SIZES = (
    39_884_406,
    39_043,
    17_289,
    7_420,
    20_263,
    3,
    7_120,
    1_543,
    63,
    38_532_951,
    2_953_546,
    403_346,
    10,
    2_208,
    11_938,
    155,
    4,
    976,
    14,
    39_979_771,
    25_641_295,
    39_664_984,
    585_935,
    12_972,
    108,
    36,
)
"""The number of buckets of each column of categories."""
