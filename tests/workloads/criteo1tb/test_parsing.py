import gzip
import os
import pathlib
import random

import numpy as np
import pytest

from tests import golden_support
from tests.workloads.criteo1tb import click_logs
from workloads.criteo1tb import parsing
from workloads.criteo1tb.schema import CATEGORIES, INTEGERS, LABEL

GOOD = ["1", "5", *["7"] * 12, *["68fd1e64"] * 26]
FIELDS = (
    *(
        "",
        "-1",
        "0",
        "1",
        "-0",
        "-2",
        "-",
        "--1",
        "1-",
        "-1-",
        "00",
        "0000000001",
        "00000000001",
        "99999999",
        "100000000",
    ),
    *("2147483647", "2147483648", "-2147483648", "-2147483649", "9999999999", "12345678901", "1.5", "1e3", "+1", " 1"),
    *(
        "68fd1e64",
        "68FD1E64",
        "68fd1e6g",
        "-8fd1e64",
        "68fd-e64",
        "a",
        "abcdef0",
        "0123456789abcdef",
        "0123456789abcdef0",
    ),
    *(
        "\0",
        "\r",
        "\x0b",
        "é",
        "/",
        ":",
        "`",
        "g",
        "NaN",
        "0x1f",
        "1234567a",
        "a2345678",
        "123456781234567",
        "-1234567",
    ),
)


def parse(fields: list[str]) -> list[int]:
    (found,) = parsing.parse(click_logs.text(["\t".join(fields)]))
    return found.tolist()


def expected_error(lines: list[bytes]) -> tuple[int, int] | None:
    """The index of the first bad line and the number of its column (0: the number of columns), line by line."""
    for index, line in enumerate(lines):
        try:
            click_logs.row(line)
        except ValueError as error:
            return index, error.args[0]
    return None


def test_the_reference_makes_the_same_of_these_lines() -> None:
    golden = golden_support.numbers("criteo1tb_input")
    rows = parsing.parse(click_logs.text(golden["lines"]))
    np.testing.assert_array_equal(rows[:, LABEL], golden["targets"])
    np.testing.assert_array_equal(rows[:, CATEGORIES], golden["inputs"][:, 13:])
    integers = np.log(np.maximum(rows[:, INTEGERS].astype(np.float32), 0) + 1)
    # The logarithms of two libraries differ by at most two units in the last place.
    np.testing.assert_array_max_ulp(integers, golden["inputs"][:, :13], maxulp=2)
    np.testing.assert_array_equal(rows, click_logs.rows(golden["lines"].tolist()))


@pytest.mark.skipif("ALGOPERF_TEST_DATA" not in os.environ, reason="needs ALGOPERF_TEST_DATA")
@pytest.mark.parametrize("name", ["day_23_00.gz", "day_23_19.gz"])
def test_synthetic_logs_are_what_they_are_line_by_line(name: str) -> None:
    path = pathlib.Path(os.environ["ALGOPERF_TEST_DATA"]) / "criteo_synthetic" / name
    content = gzip.decompress(path.read_bytes())
    np.testing.assert_array_equal(parsing.parse(content), click_logs.rows(content.decode().split("\n")[:-1]))


@pytest.mark.parametrize("count", [0, 1, 2, 7, 300])
def test_any_number_of_random_lines(count: int) -> None:
    lines = click_logs.lines(count, seed=count)
    rows = parsing.parse(click_logs.text(lines))
    assert rows.dtype == np.int32
    assert rows.flags.c_contiguous
    np.testing.assert_array_equal(rows, click_logs.rows(lines))
    np.testing.assert_array_equal(parsing.parse(click_logs.text(lines, end="\r\n")), rows)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("column", [0, 1, 13, 14, 23, 24, 38])
def test_a_field_means_what_it_means_alone_or_is_named(column: int, field: str) -> None:
    fields = [*GOOD[:column], field, *GOOD[column + 1 :]]
    line = "\t".join(fields).encode()
    good = "\t".join(GOOD)
    text = f"{good}\n{good}\n".encode() + line + f"\n{good}\n".encode()
    if (wrong := expected_error([line])) is None:
        np.testing.assert_array_equal(parsing.parse(text)[2], click_logs.row(line))
        return
    with pytest.raises(parsing.BadLineError) as caught:
        parsing.parse(text)
    assert (caught.value.line, caught.value.column) == (2, column + 1)
    assert wrong == (0, column + 1)
    assert caught.value.value == field.encode().decode("ascii", "backslashreplace")


def test_missing_fields_and_minus_one_are_the_same() -> None:
    assert parse([""] * 40) == parse(["-1"] * 40) == parse(["0"] * 14 + ["00000000"] * 26)
    assert parse([""] * 40)[: INTEGERS.stop] == [0] * 14


def test_integers_have_all_the_values_of_32_bits() -> None:
    values = [
        0,
        9,
        10,
        99_999_999,
        100_000_000,
        999_999_999,
        2**31 - 1,
        -(2**31),
        -2,
        -99_999_999,
        -100_000_000,
        7,
        123,
    ]
    assert parse(["0", *map(str, values), *GOOD[14:]])[INTEGERS] == values


def test_upper_case_is_an_error_because_its_hash_differs() -> None:
    with pytest.raises(parsing.BadLineError) as caught:
        parse([*GOOD[:20], "68FD1E64", *GOOD[21:]])
    assert (caught.value.column, caught.value.value) == (21, "68FD1E64")
    assert caught.value.expected == "at most 16 hexadecimal digits in lower case"


@pytest.mark.parametrize(
    ("line", "count"),
    [("", 1), ("\t".join(GOOD[:39]), 39), ("\t".join([*GOOD, ""]), 41), ("\t" * 80, 81), ("a\tb", 2)],
)
@pytest.mark.parametrize("index", [0, 1, 4])
def test_lines_with_other_than_40_columns_are_named(line: str, count: int, index: int) -> None:
    lines = ["\t".join(GOOD)] * 5
    lines.insert(index, line)
    with pytest.raises(parsing.BadLineError) as caught:
        parsing.parse(click_logs.text(lines))
    assert (caught.value.line, caught.value.column, caught.value.value) == (index, None, count)


def test_columns_that_are_40_only_on_average_are_an_error() -> None:
    with pytest.raises(parsing.BadLineError) as caught:
        parsing.parse(click_logs.text(["\t".join(GOOD), "\t".join(GOOD[:39]), "\t".join([*GOOD, "1"])]))
    assert (caught.value.line, caught.value.value) == (1, 39)


def test_the_first_bad_line_is_named_whatever_is_wrong_with_it() -> None:
    with pytest.raises(parsing.BadLineError) as caught:
        parsing.parse(click_logs.text(["\t".join(GOOD), "\t".join(["2", *GOOD[1:]]), "\t".join(GOOD[:39])]))
    assert (caught.value.line, caught.value.column) == (1, 1)


@pytest.mark.parametrize("seed", range(40))
def test_damaged_lines_are_what_they_are_line_by_line(seed: int) -> None:
    chance = random.Random(seed)
    content = bytearray(click_logs.text(click_logs.lines(12, seed=seed)))
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(len(content))
        kind = chance.randrange(4)
        if kind == 0:
            content[place] = chance.choice(b"\t\n\r-0123456789abcdefABCDEFgG .\0\x80\xff/:`")
        elif kind == 1:
            del content[place : place + chance.randrange(1, 12)]
        elif kind == 2:
            content[place:place] = chance.choice([b"-", b"-1", b"0", b"f", b"\t", b"\n", b"12345678"])
        else:
            content[place : place + 1] = b""
    if not content.endswith(b"\n"):
        content += b"\n"
    lines = bytes(content).replace(b"\r\n", b"\n").split(b"\n")[:-1]
    wrong = expected_error(lines)
    if wrong is None:
        np.testing.assert_array_equal(parsing.parse(bytes(content)), [click_logs.row(line) for line in lines])
        return
    with pytest.raises(parsing.BadLineError) as caught:
        parsing.parse(bytes(content))
    assert (caught.value.line, caught.value.column or 0) == wrong
