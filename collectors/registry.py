"""All collectors from files, by name: one line per format, resolved on use. The order is the order of sniffing."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, BinaryIO

from collectors.framing import Framing, first_records, framing_of
from discovery.model.errors import UnknownFormatError

if TYPE_CHECKING:
    from collectors.base import RecordReader

COLLECTORS: dict[str, str] = {
    # Before Hubble, which takes every object with a "flow" for its own: Goldmane looks for its key inside.
    "goldmane": "collectors.goldmane:GoldmaneReader",
    "hubble": "collectors.hubble:HubbleReader",
    "calico": "collectors.calico:CalicoReader",
}

HEAD = 1 << 18


def reader_class(name: str) -> type[RecordReader]:
    """Return the reader of a format. Raises :class:`UnknownFormatError` for a name that is not registered."""
    if name not in COLLECTORS:
        raise UnknownFormatError(f"format {name!r} is not known", hint=f"known formats: auto, {', '.join(COLLECTORS)}")
    module, _, attribute = COLLECTORS[name].partition(":")
    found: type[RecordReader] = getattr(import_module(module), attribute)
    return found


def sniff(head: bytes, label: str) -> tuple[str, Framing]:
    """Return the format and framing of an input from its first bytes; names play no part.

    Raises :class:`UnknownFormatError` when no collector recognises any of the first records.
    """
    framing = framing_of(head)
    for record in first_records(head, framing):
        for name, target in COLLECTORS.items():
            if import_module(target.partition(":")[0]).sniff(record):
                return name, framing
    raise UnknownFormatError(
        f"{label}: no collector recognises the content",
        hint=f"name the format (ingest --format, suggest --input-format), one of: {', '.join(COLLECTORS)};"
        " or check that the file holds flow logs",
    )


def read_head(stream: BinaryIO) -> bytes:
    """Return the first bytes of a stream, as many as it has up to a quarter MiB, tolerating a cut-off stream."""
    head = b""
    try:
        while len(head) < HEAD and (block := stream.read(HEAD - len(head))):
            head += block
    except Exception:
        if not head:
            raise
    return head
