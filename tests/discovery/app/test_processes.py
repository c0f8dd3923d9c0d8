"""Processes of our own: messages, pipes and the module path."""

from __future__ import annotations

import io

import pytest

from discovery.app.processes import framed, pipes, receive, send, start
from discovery.app.read_worker import Task


def test_messages_come_out_as_they_went_in() -> None:
    """Messages keep their borders; a pipe that ends in the middle is told."""
    pipe = io.BytesIO()
    messages = [None, {"a": [1, 2]}, b"x" * 100_000, Task(input=1, path="p", label="l", format="hubble")]
    for message in messages:
        send(pipe, message)
    pipe.seek(0)
    assert [receive(pipe) for _ in messages] == messages
    with pytest.raises(EOFError):
        receive(pipe)
    with pytest.raises(EOFError):
        receive(io.BytesIO(b"\x05\x00"))
    with pytest.raises(EOFError):
        receive(io.BytesIO(framed("cut short")[:-1]))


ECHO = """
import os, sys
from discovery.app.processes import own_pipes, receive, send
inbox, outbox = own_pipes()
print("a library speaks")
send(outbox, (receive(inbox), sys.argv[1:], os.environ["MARK"]))
"""


def test_a_process_has_our_modules_its_arguments_and_clean_pipes(capfd: pytest.CaptureFixture[str]) -> None:
    """What is printed there does not land between messages."""
    with start(ECHO, "1", "a b", settings={"MARK": "set"}) as process:
        inbox, outbox = pipes(process)
        send(inbox, {"task": 1})
        assert receive(outbox) == ({"task": 1}, ["1", "a b"], "set")
    assert process.returncode == 0
    assert "a library speaks" in capfd.readouterr().err
