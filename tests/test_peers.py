"""Every peer that a real cluster has: the claim of each platform is what was written down by hand."""

from __future__ import annotations

import pytest

from tests.peers.cases import CASES, PLATFORMS, PeerCase
from tests.peers.run import answers


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_peer_on_each_platform(case: PeerCase) -> None:
    """What the written rules match, read back, is the claim; every platform of the table is asked."""
    assert set(PLATFORMS) <= set(case.expected)
    assert {platform: answer.claim for platform, answer in answers(case).items()} == dict(case.expected)
