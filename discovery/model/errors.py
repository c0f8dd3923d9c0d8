"""The exception tree of the project, printed here so that it can be learned at a glance.

::

    DiscoveryError              every error that this project raises on purpose
    |-- InputError              an input cannot be read at all (exit 1)
    |   `-- UnknownFormatError  no collector recognises the content
    |-- IncompleteInputError    input was cut short or lossy, and the caller did not allow it (exit 4)
    |-- LakeError               the lake cannot be opened, read or committed
    |-- RenderError             a dialect cannot say an intent and the level is "refuse"
    |-- ReadBackError           what was written does not mean what was intended
    `-- OptionError             an option has a value that makes no sense (exit 2)

The library raises; only :mod:`discovery.cli` speaks to people. Each error carries ``hint``: what to do
next, in words that can be shown as they are.
"""

from __future__ import annotations

# How every command ends; if several apply the first of 1, 4, 3, 5 wins.
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_CUT = 3  # accepted traffic would be cut
EXIT_INCOMPLETE = 4
EXIT_CHANGED = 5  # drift, or findings that are new


class DiscoveryError(Exception):
    """Base of every deliberate error; ``hint`` says what to do next."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class InputError(DiscoveryError):
    """An input cannot be read at all."""


class UnknownFormatError(InputError):
    """No collector recognises the content of an input."""


class IncompleteInputError(DiscoveryError):
    """Input was cut short or lossy, and the caller did not allow partial input."""


class LakeError(DiscoveryError):
    """The lake cannot be opened, read or committed."""


class RenderError(DiscoveryError):
    """A dialect on a platform cannot say what an intent asks for."""


class ReadBackError(DiscoveryError):
    """A manifest that was written does not mean what was intended."""


class OptionError(DiscoveryError):
    """An option has a value that makes no sense."""
