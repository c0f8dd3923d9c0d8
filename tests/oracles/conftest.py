"""Count the cases that oracles were asked about; the summary of the run tells them (``tests/conftest.py``)."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.oracles.process import Oracle


def _asked(item: pytest.Item) -> int:
    """Return how many cases the oracles of a test were asked about so far."""
    return sum(one.asked for one in getattr(item, "funcargs", {}).values() if isinstance(one, Oracle))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Note on the report of a test how many cases it asked about."""
    before = _asked(item)
    try:
        return (yield)
    finally:
        item.user_properties.append(("oracle cases", _asked(item) - before))
