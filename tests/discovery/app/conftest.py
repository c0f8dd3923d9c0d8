"""What the tests of the use cases share."""

from __future__ import annotations

from pathlib import Path

import pytest

from discovery.app.options import SuggestOptions
from discovery.app.proposal import Suggestion
from discovery.app.suggest import suggest


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Suggestion:
    """Suggest policies for the sample once."""
    return suggest(
        repo / "sample_flows" / "shop-hubble.jsonl", tmp_path_factory.mktemp("out"), SuggestOptions(workers=0)
    )
