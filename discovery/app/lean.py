"""Keeps out of our processes what they load and never use: pandas, and the threads of OpenBLAS.

``pyarrow.array`` of a list looks whether pandas is installed, and importing it costs each process 0.3 s and 40 MB
(measured). numpy loads OpenBLAS, whose threads spin for 0.1 s of CPU when it starts, and we multiply no matrices. The
command line and its reading processes use neither; a notebook, which may, is not touched.
"""

from __future__ import annotations

import os
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


# For the environment of a process that has not loaded numpy yet.
ONE_BLAS_THREAD = {"OPENBLAS_NUM_THREADS": "1"}


def without_blas_threads() -> None:
    """Keep OpenBLAS from starting threads in this process; to be called before numpy is loaded."""
    os.environ.update(ONE_BLAS_THREAD)


def without_pandas() -> None:
    """Make pandas look absent in this process, unless it is loaded already. May be called more than once."""
    if "pandas" not in sys.modules and _NoPandas not in sys.meta_path:
        sys.meta_path.insert(0, _NoPandas)
