"""What the commands share: exit codes, text that cannot drive a terminal, times, bars."""

from __future__ import annotations

import errno
from datetime import UTC, datetime, timedelta, timezone

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from discovery.cli.common import Bars, Time, exit_code, printable, speaks
from discovery.model.errors import DiscoveryError, IncompleteInputError, InputError, OptionError, ReadBackError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("x"), 1),
        (ReadBackError("x"), 1),
        (DiscoveryError("x"), 1),
        (OptionError("x"), 2),
        (IncompleteInputError("x"), 4),
    ],
)
def test_errors_have_documented_exit_codes(error: DiscoveryError, code: int) -> None:
    """The contract: 1 failed, 2 usage, 4 incomplete."""
    assert exit_code(error) == code


@given(st.text())
def test_printed_text_cannot_drive_a_terminal(text: str) -> None:
    """No escape, control or bidi character gets through, and nothing printable is lost."""
    shown = printable(text)
    assert all(char.isprintable() or char == "\n" for char in shown)
    assert [char for char in text if char.isprintable()] == [
        new for old, new in zip(text, shown, strict=True) if old.isprintable()
    ]


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (
            OptionError("bad \x1b[2J\nvalue", hint="write it so"),
            2,
            "Error: bad \ufffd[2J\ufffdvalue\nTry: write it so\n",
        ),
        (InputError("no hint"), 1, "Error: no hint\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "x"),
            1,
            "Error: x: No space left on device\nTry: check the path, its permissions and the free space\n",
        ),
    ],
)
def test_errors_are_told_with_what_to_do(error: Exception, code: int, words: str) -> None:
    """An error is a sentence and a hint on standard error, never a traceback."""

    @click.command()
    @speaks
    def command() -> None:
        raise error

    result = CliRunner().invoke(command)
    assert (result.exit_code, result.stderr, result.stdout) == (code, words, "")


def test_times_are_utc_unless_they_say_otherwise() -> None:
    """A date, a time, a zone; nothing else."""
    parse = Time()
    assert parse.convert("2026-11-02", None, None) == datetime(2026, 11, 2, tzinfo=UTC)
    assert parse.convert("2026-11-02T14:00:00Z", None, None) == datetime(2026, 11, 2, 14, tzinfo=UTC)
    cet = timezone(timedelta(hours=1))
    assert parse.convert("2026-11-02T14:00:00+01:00", None, None) == datetime(2026, 11, 2, 14, tzinfo=cet)
    for bad in ("yesterday", "", "2026-13-45", "\x1b"):
        with pytest.raises(click.BadParameter, match="is not a time"):
            parse.convert(bad, None, None)


def test_bars_are_absent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """In a pipe or a log nothing is drawn."""
    with Bars() as bars:
        bars.update("reading", 1, 2)
        bars.update("settling", 0, 0)
    assert capsys.readouterr() == ("", "")


def test_bars_are_drawn_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A person sees what is done, and on standard error alone."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Bars() as bars:
        bars.update("reading", 1, 1 << 20)
        bars.update("settling", 1, 1)
    told = capsys.readouterr()
    assert told.out == ""
    assert "reading" in told.err
    assert "settling" in told.err
