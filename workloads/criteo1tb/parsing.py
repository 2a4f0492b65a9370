"""Lines of click logs to rows, many lines at once.

A line has 40 columns between tabs: the label, 13 integers in decimal and 26 categories in lower-case hexadecimal. No
Python code runs per line or field: eight bytes at a time are gathered, checked and converted as one word, in arrays
[columns, lines]. A category becomes the bucket Fingerprint64(category + column number) modulo the size of its column;
a missing one counts as `00000000`. `-1` means missing in any column.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Int32, Int64, UInt8, UInt64

from workloads.criteo1tb import hashing
from workloads.criteo1tb.schema import CATEGORIES, COLUMN_SIZES, INTEGERS, LABEL, NUM_CATEGORIES, NUM_COLUMNS

MAX_ID_LENGTH = 16
"""Categories of the published files have 8 digits; others are hashed as well, up to this length."""

_TAB, _NEWLINE, _MINUS = b"\t\n-"
_HEXADECIMAL = b"0123456789abcdef"
_PADDING = 16
"""Bytes in front of the text, so that two words before the end of any field can be read."""
_ZEROS = np.uint64(int.from_bytes(b"0" * 8, "little"))
_MISSING = _ZEROS
_LAST_BYTES = np.array([(2**64 - 1) ^ (2 ** (64 - 8 * length) - 1) for length in range(9)], np.uint64)
"""Masks that keep the last bytes of a word: the number of bytes -> the mask."""
_MIN_INT32, _MAX_INT32 = -(2**31), 2**31 - 1
_MAX_DIGITS = 10
_NUMBERS = slice(LABEL, INTEGERS.stop)
_IS_HEXADECIMAL = np.isin(np.arange(256), np.frombuffer(_HEXADECIMAL, np.uint8))
_SIZES = np.array(COLUMN_SIZES, np.uint64)


class BadLineError(ValueError):
    """A line that is not a line of a click log.

    Attributes:
      line: index of the line.
      column: the number of the column from 1, or None if the number of columns is wrong.
      value: what was found.
      expected: what was expected.
    """

    def __init__(self, line: int, column: int | None, value: str | int, expected: str) -> None:
        super().__init__(line, column, value, expected)
        self.line, self.column, self.value, self.expected = line, column, value, expected


def parse(text: bytes) -> Int32[np.ndarray, "lines 40"]:
    """The rows of lines; see `schema`.

    Args:
      text: complete lines; each ends with a newline, or with a carriage return and a newline.

    Raises:
      BadLineError: the first line that is not valid.
    """
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n")
    fields = _split(text)
    values = np.empty(fields.ends.shape, np.int32)
    words = fields.words_before(fields.ends)
    bad = _parse_numbers(fields, words[_NUMBERS], values[_NUMBERS])
    bad |= (values[LABEL] < 0) | (values[LABEL] > 1)
    bad |= _parse_categories(fields, words[CATEGORIES], values[CATEGORIES])
    if bad.any():
        index = int(bad.argmax())
        raise _explained(index, text.split(b"\n")[index])
    return np.ascontiguousarray(values.T)


@dataclasses.dataclass(frozen=True)
class _Fields:
    """Where the fields of lines are.

    Attributes:
      padded: the text between `_PADDING` and some more bytes of padding, a multiple of 8 bytes.
      ends: index in `padded` behind the last byte of each field.
      lengths: number of bytes of each field.
    """

    padded: UInt8[np.ndarray, " bytes"]
    ends: Int64[np.ndarray, "40 lines"]
    lengths: Int64[np.ndarray, "40 lines"]

    def words_before(self, ends: Int64[np.ndarray, "*shape"]) -> UInt64[np.ndarray, "*shape"]:
        """The eight bytes before each index as a little-endian word, from the two aligned words that they are in."""
        aligned = self.padded.view("<u8")
        shift = (ends & 7).view(np.uint64)
        shift <<= np.uint64(3)
        index = ends >> 3
        # `take` is much faster than an index into a view with a stride of one byte.
        upper = aligned.take(index)
        index -= 1
        lower = aligned.take(index)
        lower >>= shift
        np.subtract(np.uint64(64), shift, out=shift)
        upper <<= shift  # by 64 or less: in numpy, nothing is left after a shift by 64
        lower |= upper
        return lower


def _split(text: bytes) -> _Fields:
    """Finds the fields; raises BadLineError for a line with another number of columns."""
    padded = np.empty(_PADDING + -(-len(text) // 8) * 8 + 8, np.uint8)
    body = padded[_PADDING : _PADDING + len(text)]
    body[:] = np.frombuffer(text, np.uint8)
    is_newline = body == _NEWLINE
    is_separator = body == _TAB
    is_separator |= is_newline
    separators = np.flatnonzero(is_separator)
    num_lines = int(np.count_nonzero(is_newline))
    if len(separators) != NUM_COLUMNS * num_lines or not is_newline[separators[NUM_COLUMNS - 1 :: NUM_COLUMNS]].all():
        raise _wrong_columns(text, separators, np.flatnonzero(is_newline))

    ends = np.empty((NUM_COLUMNS, num_lines), np.int64)
    ends[:] = separators.reshape(num_lines, NUM_COLUMNS).T
    lengths = np.empty_like(ends)
    np.subtract(ends[1:], ends[:-1], out=lengths[1:])
    lengths[0, :1] = ends[0, :1] + 1
    np.subtract(ends[0, 1:], ends[-1, :-1], out=lengths[0, 1:])
    lengths -= 1

    ends += _PADDING
    return _Fields(padded, ends, lengths)


def _parse_numbers(
    fields: _Fields, words: UInt64[np.ndarray, "14 lines"], values: Int32[np.ndarray, "14 lines"]
) -> Bool[np.ndarray, " lines"]:
    """Parses label and integers, with their last eight bytes in `words`, into `values`; returns which lines are bad."""
    lengths = fields.lengths[_NUMBERS]
    digits = _digits(words, np.minimum(lengths, 8))
    is_other = _has_other_than_digits(digits)
    is_other |= lengths > 8
    values[:] = _decimal(digits)
    bad = np.zeros(values.shape[1], bool)
    if is_other.any():
        ends, lengths = fields.ends[_NUMBERS][is_other], lengths[is_other]
        values[is_other], bad_fields = _parse_other_numbers(fields, ends, lengths)
        bad[np.nonzero(is_other)[1][bad_fields]] = True
    return bad


def _parse_other_numbers(
    fields: _Fields, ends: Int64[np.ndarray, " fields"], lengths: Int64[np.ndarray, " fields"]
) -> tuple[Int64[np.ndarray, " fields"], Bool[np.ndarray, " fields"]]:
    """Integers with a sign or with more than eight digits, and which of them are not integers of 32 bits."""
    is_negative = fields.padded[ends - lengths] == _MINUS
    count = lengths - is_negative
    low = _digits(fields.words_before(ends), np.clip(count, 0, 8))
    high = _digits(fields.words_before(ends - 8), np.clip(count - 8, 0, 8))
    value = (_decimal(high) * np.uint64(10**8) + _decimal(low)).astype(np.int64)
    value[is_negative] *= -1
    bad = (count < 1) | (count > _MAX_DIGITS) | _has_other_than_digits(low) | _has_other_than_digits(high)
    bad |= (value < _MIN_INT32) | (value > _MAX_INT32)
    value[bad | (value == -1)] = 0
    return value, bad


def _digits(words: UInt64[np.ndarray, "*shape"], counts: Int64[np.ndarray, "*shape"]) -> UInt64[np.ndarray, "*shape"]:
    """The last `counts` characters of words, of which `0` is the byte 0, after as many zeros as fit."""
    digits = words ^ _ZEROS
    digits &= _LAST_BYTES.take(counts)
    return digits


def _has_other_than_digits(digits: UInt64[np.ndarray, "*shape"]) -> Bool[np.ndarray, "*shape"]:
    """Whether one of the eight bytes of a word is more than 9."""
    high_bits = digits + np.uint64(0x7676767676767676)
    high_bits |= digits
    high_bits &= np.uint64(0x8080808080808080)
    return high_bits != 0


def _decimal(digits: UInt64[np.ndarray, "*shape"]) -> UInt64[np.ndarray, "*shape"]:
    """The numbers that words of eight digits stand for: neighbors are combined to pairs, fours and eights."""
    value = digits * np.uint64(10 * 2**8 + 1)
    value >>= np.uint64(8)
    value &= np.uint64(0x00FF00FF00FF00FF)
    value *= np.uint64(100 * 2**16 + 1)
    value >>= np.uint64(16)
    value &= np.uint64(0x0000FFFF0000FFFF)
    value *= np.uint64(10_000 * 2**32 + 1)
    value >>= np.uint64(32)
    return value


def _parse_categories(
    fields: _Fields, words: UInt64[np.ndarray, "26 lines"], values: Int32[np.ndarray, "26 lines"]
) -> Bool[np.ndarray, " lines"]:
    """Hashes categories, with their last eight bytes in `words`, into `values`; returns which lines are bad."""
    lengths = fields.lengths[CATEGORIES]
    np.copyto(words, _MISSING, where=lengths == 0)
    is_full = lengths == hashing.ID_BYTES
    is_wrong = _has_other_than_hexadecimal(words)
    is_wrong &= is_full
    bad = is_wrong.any(axis=0)
    is_other = ~is_full
    is_other &= lengths != 0
    others = np.nonzero(is_other) if is_other.any() else None
    if others is not None:
        is_missing = (lengths[others] == 2) & (words[others] >> np.uint64(48) == int.from_bytes(b"-1", "little"))
        words[others[0][is_missing], others[1][is_missing]] = _MISSING
        others = others[0][~is_missing], others[1][~is_missing]
    fingerprints = np.concatenate(
        [hashing.fingerprints_of_ids(words[:10], range(10)), hashing.fingerprints_of_ids(words[10:], range(10, 26))]
    )
    if others is not None:
        columns, lines = others
        fingerprints[others], bad_fields = _hash_others(fields, columns, lines)
        bad[lines[bad_fields]] = True
    # `%` does not use the fast division by an invariant number, `//` does.
    sizes = _SIZES[:, None]
    quotients = fingerprints // sizes
    quotients *= sizes
    fingerprints -= quotients
    values[:] = fingerprints.astype(np.float32)
    return bad


def _has_other_than_hexadecimal(words: UInt64[np.ndarray, "*shape"]) -> Bool[np.ndarray, "*shape"]:
    """Whether one of the eight bytes of a word is neither a digit nor one of the letters a to f."""
    # The highest bit of a byte becomes 1 if it is not a digit, and if it is more than f, and if it is at least a.
    wrong = words ^ _ZEROS
    wrong += np.uint64(0x7676767676767676)
    letters = words ^ np.uint64(0x6060606060606060)
    is_high = letters + np.uint64(0x7979797979797979)
    letters += np.uint64(0x7F7F7F7F7F7F7F7F)
    np.invert(letters, out=letters)
    letters |= is_high
    wrong &= letters
    wrong |= words
    wrong &= np.uint64(0x8080808080808080)
    return wrong != 0


def _hash_others(
    fields: _Fields, columns: Int64[np.ndarray, " fields"], lines: Int64[np.ndarray, " fields"]
) -> tuple[UInt64[np.ndarray, " fields"], Bool[np.ndarray, " fields"]]:
    """Fingerprints of categories of other lengths, and which of them are none; together by length and column."""
    fingerprints = np.zeros(len(columns), np.uint64)
    ends = fields.ends[CATEGORIES][columns, lines]
    lengths = fields.lengths[CATEGORIES][columns, lines]
    bad = lengths > MAX_ID_LENGTH
    groups = lengths * NUM_CATEGORIES + columns
    for group in np.unique(groups[~bad]):
        length, column = divmod(int(group), NUM_CATEGORIES)
        chosen = np.flatnonzero((groups == group) & ~bad)
        characters = fields.padded[ends[chosen, None] + np.arange(-length, 0)]
        bad[chosen] = ~_IS_HEXADECIMAL[characters].all(axis=1)
        suffix = np.frombuffer(str(column).encode(), np.uint8)
        keys = np.concatenate([characters, np.broadcast_to(suffix, (len(chosen), len(suffix)))], axis=1)
        fingerprints[chosen] = hashing.fingerprint64(keys)
    return fingerprints, bad


def _wrong_columns(
    text: bytes, separators: Int64[np.ndarray, " separators"], newlines: Int64[np.ndarray, " lines"]
) -> BadLineError:
    """The error for text of which not all lines have 40 columns."""
    counts = np.diff(np.searchsorted(separators, newlines, side="right"), prepend=0)
    line = int(np.flatnonzero(counts != NUM_COLUMNS)[0])
    if line:
        # An earlier line may be wrong in another way.
        parse(text[: newlines[line - 1] + 1])
    return BadLineError(line, None, int(counts[line]), f"{NUM_COLUMNS} columns between tabs")


def _explained(index: int, line: bytes) -> BadLineError:
    """The error for a line with 40 columns that is bad."""
    for number, field in enumerate(line.split(b"\t"), start=1):
        if (expected := _wrong_field(number, field)) is not None:
            return BadLineError(index, number, field[:40].decode("ascii", "backslashreplace"), expected)
    raise AssertionError(f"nothing is wrong with {line!r}")


def _wrong_field(number: int, field: bytes) -> str | None:
    """What was expected in place of a field that is wrong, or None."""
    if field in (b"", b"-1"):
        return None
    if number <= _NUMBERS.stop:
        digits = field.removeprefix(b"-")
        is_integer = digits.isdigit() and len(digits) <= _MAX_DIGITS and _MIN_INT32 <= int(field) <= _MAX_INT32
        if number == LABEL + 1:
            return None if is_integer and int(field) in (0, 1) else "the label 0 or 1"
        return None if is_integer else f"an integer of 32 bits with at most {_MAX_DIGITS} digits"
    if 0 < len(field) <= MAX_ID_LENGTH and not field.strip(_HEXADECIMAL):
        return None
    return f"at most {MAX_ID_LENGTH} hexadecimal digits in lower case"
