"""Policy discovery: least-privilege network policy learned from what a system really does.

The public API is the set of use cases of :mod:`discovery.app`, loaded on first use so that
``import discovery`` stays cheap::

    from discovery import ingest, suggest, verify_policies
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from discovery.app.ingest import ingest
    from discovery.app.suggest import suggest
    from discovery.app.verify import verify_policies

__version__ = "0.1.0"
__all__ = ["__version__", "ingest", "suggest", "verify_policies"]

_USE_CASES = {
    "ingest": "discovery.app.ingest",
    "suggest": "discovery.app.suggest",
    "verify_policies": "discovery.app.verify",
}


def __getattr__(name: str) -> Any:
    """Load a use case on first access (PEP 562)."""
    if name in _USE_CASES:
        from importlib import import_module

        return getattr(import_module(_USE_CASES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
