"""Small changes to a suggestion."""

from __future__ import annotations

from dataclasses import replace

from discovery.app.proposal import Suggestion
from discovery.learn.judge import Judged


def with_judged(sample: Suggestion, *judged: Judged) -> Suggestion:
    """Return the sample with other rulings."""
    return replace(sample, learned=replace(sample.learned, judged=judged))
