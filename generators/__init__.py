"""Generators: intents in, manifests out, one module per dialect.

:func:`render` picks the module of a platform's dialect. What a dialect cannot say on a platform comes back as
a diagnostic; nothing is widened or dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, cast

from discovery.model.intent import Dialect

if TYPE_CHECKING:
    from discovery.model.artifact import Rendered
    from generators.base import RenderRequest

# Resolved on use, so that one dialect can be used without loading the others.
REGISTRY = {
    Dialect.CILIUM: "generators.cilium:render",
    Dialect.CALICO: "generators.calico:render",
    Dialect.KUBERNETES: "generators.kubernetes:render",
}


def render(request: RenderRequest) -> Rendered:
    """Return what the dialect of the request's platform makes of its intents.

    Raises :class:`discovery.model.errors.RenderError` for intents that contradict each other.
    """
    module, name = REGISTRY[request.platform.dialect].split(":")
    renderer = cast("Callable[[RenderRequest], Rendered]", getattr(import_module(module), name))
    return renderer(request)
