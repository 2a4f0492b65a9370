#!/usr/bin/env bash
# pyarrow: an Arrow stream that was cut off between two batches reads as a whole one.
#
# Expected: A stream ends with a marker of 8 bytes, so a file that lost its end is an error, wherever it was cut.
#
# What happens: Cut inside a batch, it is an error. Cut between two batches, the reader returns those before, and says
# nothing: the format lets a writer end a stream by closing it, so the marker is optional. The position of the file
# tells the two apart: after a whole stream, it is 8 bytes behind the last batch.
#
# Why it matters here: `save_to_disk` of the package datasets writes such files, with no count of rows beside them that
# reading would check. A copy that broke off on a full disk, or at a multiple of the batch size, is a smaller data set.
#
# Seen with: pyarrow==26.0.1; CPython 3.11, x86-64 Linux, CPU; 2026-11-28.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pyarrow==26.0.1
venv/bin/python - <<'PYTHON'
import pyarrow as pa

print("pyarrow", pa.__version__)
batch = pa.record_batch({"input_ids": [[1, 2, 3], [4]]})
ends = []
with pa.OSFile("whole.arrow", "wb") as file, pa.ipc.new_stream(file, batch.schema) as stream:
    for _ in range(3):
        stream.write_batch(batch)
        ends.append(file.tell())
content = open("whole.arrow", "rb").read()
assert len(content) == ends[-1] + 8


def rows(length):
    with open("cut.arrow", "wb") as file:
        file.write(content[:length])
    with pa.memory_map("cut.arrow") as source, pa.ipc.open_stream(source) as stream:
        count, last = 0, source.tell()
        for batch in stream:
            count, last = count + len(batch), source.tell()
        return count, source.tell() - last


print("bytes, then rows and how far the reader went behind the last of them:")
for length in (len(content), ends[1], ends[0]):
    print(length, *rows(length))
try:
    rows(ends[1] - 4)
except (OSError, pa.ArrowInvalid) as error:
    print(ends[1] - 4, error)
else:
    raise AssertionError("a stream that was cut inside a batch is read")
assert rows(len(content)) == (6, 8)
assert rows(ends[1]) == (4, 0), "a stream without its end is an error now"
PYTHON
