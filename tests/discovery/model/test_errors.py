"""The exception tree."""

from __future__ import annotations

import inspect

import pytest

from discovery.model import errors
from discovery.model.errors import DiscoveryError

_ALL: dict[str, type[DiscoveryError]] = {
    name: found for name, found in vars(errors).items() if inspect.isclass(found) and issubclass(found, DiscoveryError)
}


def test_the_printed_tree_is_the_real_one() -> None:
    """The tree in the module's docstring names every class, below its parent, and no other."""
    parents: dict[int, str] = {}
    printed: dict[str, str] = {}
    for text in (errors.__doc__ or "").splitlines():
        words = text.replace("|", " ").replace("`--", "   ").replace("--", "  ").split()
        if not words or not words[0].endswith("Error"):
            continue
        depth = text.index(words[0])
        parents = {column: name for column, name in parents.items() if column < depth}
        printed[words[0]] = parents[max(parents)] if parents else "Exception"
        parents[depth] = words[0]
    assert printed == {name: found.__bases__[0].__name__ for name, found in _ALL.items()}


@pytest.mark.parametrize("name", sorted(_ALL))
def test_every_error_carries_a_hint(name: str) -> None:
    """Each error keeps its message and says what to do next."""
    error = _ALL[name]("what happened", hint="what to do")
    assert isinstance(error, DiscoveryError)
    assert (str(error), error.hint) == ("what happened", "what to do")
    assert _ALL[name]("what happened").hint is None
    assert _ALL[name].__doc__
