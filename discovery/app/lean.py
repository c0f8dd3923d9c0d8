"""Keeps pandas out of processes that do not use it.

``pyarrow.array`` of a list looks whether pandas is installed, and importing it costs each process 0.3 s and 40 MB
(measured). The command line and its reading processes never use it; a notebook, which does, is not touched.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


class _NoPandas:
    """A finder that says that pandas is not there."""

    @staticmethod
    def find_spec(
        name: str,
        path: Sequence[str] | None = None,  # noqa: ARG004 - the protocol of importlib
        target: ModuleType | None = None,  # noqa: ARG004 - the protocol of importlib
    ) -> ModuleSpec | None:
        """Refuse pandas; everything else is somebody else's to find."""
        if name == "pandas":
            raise ModuleNotFoundError("pandas is not loaded on the command line", name=name)
        return None


def without_pandas() -> None:
    """Make pandas look absent in this process, unless it is loaded already. May be called more than once."""
    if "pandas" not in sys.modules and _NoPandas not in sys.meta_path:
        sys.meta_path.insert(0, _NoPandas)
