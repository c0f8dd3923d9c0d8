"""The part of Calico's selector language that is evaluated: ``all()`` and conjunctions of ``key == 'value'``.

Grammar from the Calico selector reference: keys are written bare, values are quoted with ' or " and have no escape
characters. Every other operator is refused by name.
"""

from __future__ import annotations

import re

from discovery.model.workload import Labels
from discovery.verify.fields import NotEvaluatedError, shown

_TERM = re.compile(
    r"""\s*(?:(?P<all>all\(\s*\))|(?P<key>[a-zA-Z0-9_./-]+)\s*==\s*(?:'(?P<single>[^']*)'|"(?P<double>[^"]*)"))\s*"""
)


def parse_selector(text: object, where: str) -> Labels:
    """Return the pairs that a selector requires; ``all()`` and the empty selector require nothing.

    Raises :class:`NotEvaluatedError` for everything else, also for a key that is there with two values.
    """
    if not isinstance(text, str):
        raise NotEvaluatedError(where, f"expected a selector, found {shown(text)}")
    pairs: dict[str, str] = {}
    if not text.strip():
        return Labels()
    position = 0
    while True:
        term = _TERM.match(text, position)
        if term is None:
            raise NotEvaluatedError(where, f"selector {shown(text)} is not a conjunction of key == 'value'")
        if not term["all"]:
            value = term["single"] if term["single"] is not None else term["double"]
            if pairs.setdefault(term["key"], value) != value:
                raise NotEvaluatedError(
                    where, f"selector {shown(text)} asks for two values of one key: it matches nothing"
                )
        position = term.end()
        if position == len(text):
            return Labels.of(pairs)
        if not text.startswith("&&", position):
            raise NotEvaluatedError(where, f"selector {shown(text)} is not a conjunction of key == 'value'")
        position += 2
