"""Keeping pandas and the threads of OpenBLAS out of the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def run(code: str, repo: Path) -> str:
    """Run code in a process of its own and return what it printed."""
    return subprocess.run([sys.executable, "-c", code], cwd=repo, check=True, capture_output=True, text=True).stdout


def test_pandas_looks_absent_and_arrow_works(repo: Path) -> None:
    """After the call pandas cannot be imported, other modules can, and Arrow still builds arrays of lists."""
    code = (
        "from discovery.app.lean import without_pandas\n"
        "without_pandas(); without_pandas()\n"
        "import sys, pyarrow as pa\n"
        "print(pa.array(['a', None]).null_count, 'pandas' in sys.modules)\n"
        "try:\n    import pandas\nexcept ModuleNotFoundError as error:\n    print(error.name)\n"
    )
    assert run(code, repo) == "1 False\npandas\n"


def test_a_process_that_uses_pandas_keeps_it(repo: Path) -> None:
    """Where pandas is loaded already, as in a notebook, it stays."""
    code = (
        "import sys, types\n"
        "sys.modules['pandas'] = types.ModuleType('pandas')\n"
        "from discovery.app.lean import without_pandas\n"
        "without_pandas()\n"
        "import pandas; print(pandas.__name__)\n"
    )
    assert run(code, repo) == "pandas\n"


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_numpy_starts_no_threads(repo: Path) -> None:
    """After the call numpy loads with one thread."""
    code = (
        "from discovery.app.lean import without_blas_threads\n"
        "without_blas_threads()\n"
        "import os, numpy\n"
        "print(len(os.listdir('/proc/self/task')))\n"
    )
    assert run(code, repo) == "1\n"
