"""Use case: flows to reviewable policies. Read, roll up, learn, render, read back, write."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from discovery.app.options import SuggestOptions, check_system

if TYPE_CHECKING:
    from discovery.app.proposal import Suggestion


def suggest(
    inputs: str | Path | Iterable[str | Path], output: str | Path, options: SuggestOptions | None = None
) -> Suggestion:
    """Learn policies from flow logs or lakes and write them for review.

    Raises :class:`OptionError` for options that contradict each other, :class:`InputError` for inputs that cannot be
    read, :class:`IncompleteInputError` when input was lost or malformed and ``allow_partial`` is off (nothing is
    written), and :class:`ReadBackError` when what was written does not mean what was learned (nothing is published).
    """
    from discovery.app.evidence import gather

    options = options or SuggestOptions()
    check_system(options)
    given = (inputs,) if isinstance(inputs, (str, Path)) else tuple(inputs)
    # What comes after reading is loaded while other processes read.
    loading = Thread(target=import_module, args=("discovery.app.proposal",))
    loading.start()
    try:
        with tempfile.TemporaryDirectory(prefix="discovery-lake-") as scratch:
            there = options.existing is not None  # rules that are there may be about requests
            evidence = gather(tuple(str(path) for path in given), Path(scratch) / "lake", options, requests=there)
    finally:
        loading.join()
    from discovery.app.proposal import propose

    return propose(evidence, Path(output), options)
