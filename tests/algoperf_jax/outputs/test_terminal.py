"""A run outlives its terminal."""

import os

from algoperf_jax.outputs import terminal


def test_lines_arrive_as_long_as_somebody_reads() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as file:
        console = terminal.console(file)
        assert not console.is_terminal
        console.print("first")
        assert os.read(reader, 100) == b"first\n"
        os.close(reader)
        console.print("second")  # a broken pipe
        console.print("third")


def test_a_terminal_is_recognized_and_may_hang_up() -> None:
    leader, follower = os.openpty()
    with os.fdopen(follower, "w") as file:
        console = terminal.console(file)
        assert console.is_terminal
        console.print("first")
        assert b"first" in os.read(leader, 100)
        os.close(leader)
        console.print("second")  # an input/output error
        console.print("third")
