"""Generators and the independent readers agree: what is written means exactly what was intended (house rule 11)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.model.diagnostics import Level
from discovery.model.intent import Dialect, Mode, PolicyIntent
from discovery.verify.read import read_policies
from discovery.verify.readback import check
from generators import render
from generators.base import RenderRequest
from tests.strategies import intent_sets, platforms


@pytest.mark.parametrize("dialect", Dialect)
@given(data=st.data(), intents=intent_sets(), mode=st.sampled_from(Mode))
def test_what_is_written_means_what_was_intended(
    dialect: Dialect, data: st.DataObject, intents: tuple[PolicyIntent, ...], mode: Mode
) -> None:
    """Read back by code that shares nothing with the writer, every written direction is exact, allow by allow."""
    platform = data.draw(platforms(dialect))
    rendered = render(RenderRequest(intents=intents, platform=platform, mode=mode))
    texts = {artifact.path: artifact.text for artifact in rendered.artifacts}
    written = {(artifact.workload, direction) for artifact in rendered.artifacts for direction in artifact.isolates}
    skipped = frozenset((found.workload, found.direction) for found in intents) - written
    found = check(intents, read_policies(texts), platform, mode, (), skipped)
    assert [problem for problem in found if problem.level is Level.ERROR] == []
