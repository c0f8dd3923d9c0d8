"""Takes the lines of a Hubble export that differ from lines read before only in the values of a record.

The lines of one exporter are nearly all alike: the same keys in the same order, the same kinds of events on the same
nodes, the same ends again and again. Such a line is not decoded: blocks of lines are compared with what is known, a
column at a time (ADR 0003).

A line is taken only if every byte of it belongs to one of two things, and is left to the slow path otherwise:

- Its *frame*, all that is not a value. The slow path has accepted a record with the same whole frame, and its keys were
  found to be unique. Frames are what decides about anything but the values below: keys, verdict, kind of event, flags,
  node, direction, reply; a frame with parts that few records have (layer 7, services, policies ...) is never learned.
- A *value* in a place where that record had a value of the same kind: the time, which is the same at both places and
  parses; the uuid, the MAC addresses and what nobody reads (summary, interface, socket cookie), printable ASCII without
  quotes and backslashes; the addresses, which the slow path's own function accepts; the ports, decimal numbers from 1
  to 65535 without leading zeros; and the two endpoints, JSON objects whose bytes the slow path has accepted as such.

As the frame is valid JSON around values and each value is complete, the line is valid, has no key twice, and the slow
path would give the same row. What is remembered grows with the frames (nodes times kinds of events) and with the
addresses, not with pairs of them, and both are bounded.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collectors.base import fitting_times
from collectors.hubble_wire import normalise
from collectors.sources import Cut
from discovery.flows.batch import MAX_MEMO, ROW, BatchBuilder, Block

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Numbers = np.ndarray[Any, np.dtype[np.int64]]
Texts = np.ndarray[Any, np.dtype[np.bytes_]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Span = tuple[int, int]
Spans = list[Span]
Pair = tuple[Numbers, Numbers]

FIRST_LINES = 256
_MAX_FAMILIES = 4
_MAX_LAYOUTS = 32
_MAX_TEXT = 16 << 20  # bytes that frames end with
_MAX_REST = 2048  # bytes
_MAX_FRONT = 512
_MAX_ENDPOINT, _MAX_ENDPOINTS = 4096, 32 << 20
_INLINE = 12  # Arrow's views of texts hold shorter ones themselves
_FEW = 24  # lines that are not worth the vector operations
# Learning costs several times what reading a line does, so an input whose lines never repeat must not go on with it.
_MAX_CREDIT = 4096
_EARNED = 1 / 32  # per line taken
# Nor is it looked at all the time whether lines are like others where fewer than one in some is.
_WORTH = 8
_MAX_PAUSE = 15  # blocks

_SOURCE = b',"source":'
_TO_DESTINATION = b'","destination":"'
_TO_PORT = b'","ipVersion":"IPv4"},"l4":{"TCP":{"source_port":'
_TO_TARGET_PORT = b',"destination_port":'
_BETWEEN = b',"destination":'
_AFTER = b',"Type":'
_BEFORE_TIME = b',"time":"'
_END = b'"}\n'
# How many bytes are looked at to find the end of an address: enough for most of them, and for all.
_MOST_ADDRESSES, _ADDRESSES = 16, 48
_PORT = 8
_FLAGS = 80

_FRONT = re.compile(
    rb'\{"flow":\{"time":"(?P<time>[0-9T:.Z-]{20,40})","uuid":"(?P<uuid>[0-9A-Za-z-]{1,64})",'
    rb'(?:"\w+":(?:"[^"\\]*"|[0-9]+|true|false'
    rb'|\{"source":"(?P<mac>[0-9a-f:]{17})","destination":"(?P<other_mac>[0-9a-f:]{17})"\}),)*'
    rb'"IP":\{"source":"(?P<source>[0-9A-Fa-f:.]+)","destination":"[0-9A-Fa-f:.]+'
    rb'(?P<kind>","ipVersion":"IPv[46]"\},"l4":\{"(?:TCP|UDP)":\{"source_port":)'
    rb'[1-9][0-9]*,"destination_port":[1-9][0-9]*(?P<flags>(?:,"flags":\{(?:"[A-Z]+":true,?)+\})?\}\},"source":)'
)
# Members in the last part of a frame whose values nobody reads, where they are plain.
_UNREAD = re.compile(
    rb',"(?:Summary":"[ !#-\[\]-~]*"|socket_cookie":"[0-9]*"'
    rb'|interface":\{"index":[1-9][0-9]*(?:,"name":"[ !#-\[\]-~]*")?\})'
)
_plain_address = re.compile(rb"[0-9A-Fa-f:.]+").fullmatch
# By the number of digits, what each of them counts.
_POWERS = np.array(
    [[10 ** (size - 1 - at) if at < size else 0 for at in range(_PORT)] for size in range(_PORT + 1)], np.int32
)


class Layout:
    """The front of a line up to its source address: literals and values of fixed width.

    ``low`` and ``span`` say for each byte of the front what it may be, and ``never`` what it may not.
    """

    def __init__(self, front: bytes, values: Spans) -> None:
        """Take the front of an accepted line apart; ``values`` are where values begin and end."""
        self.front = _blanked(front, values)
        self.low = np.frombuffer(front, np.uint8).copy()
        self.span = np.zeros(len(front), np.uint8)
        self.never = ~self.low
        for begin, end in values:
            self.low[begin:end], self.span[begin:end], self.never[begin:end] = ord("-"), ord("z") - ord("-"), ord("\\")

    def fits(self, data: bytes, starts: Numbers) -> Bools:
        """Say which of the lines that start at some places are of this layout."""
        fronts = _windows(data, len(self.front), starts)
        return np.asarray((((fronts - self.low) <= self.span) & (fronts != self.never)).all(axis=1))


class Family:
    """Frames whose layouts have time and uuid at the same places.

    ``frames`` are by the number of the layout (a byte), the kind and the flags; each has the meanings by the rest
    without the values that nobody reads.
    """

    def __init__(self, time: slice, uuid: slice) -> None:
        """Have no frames."""
        self.time, self.uuid = time, uuid
        self.layouts: list[Layout] = []
        self.frames: dict[bytes, dict[bytes, int]] = {}
        self.seen: dict[bytes, dict[bytes, int]] = {}  # the same by the rest as it is
        self.flags = 0  # the most bytes that flags have
        self.size = 0  # bytes of the rests

    def add(self, kind: bytes, flags: bytes, rest: bytes, meaning: int) -> None:
        """Add a frame; ``kind`` begins with the number of its layout, ``rest`` is without what nobody reads."""
        self.flags = max(self.flags, len(flags))
        self.size += len(rest)
        self.frames.setdefault(kind + flags, {})[rest] = meaning
        self.seen.setdefault(kind + flags, {})

    def meaning(self, kind: bytes, rest: bytes) -> int:
        """Return the meaning of a frame, -1 if it is not known; ``kind`` has the flags too."""
        seen = self.seen[kind]
        found = seen.get(rest)
        if found is None:
            # Records of layer 7 are never taken, and all differ.
            found = -1 if b'"l7":' in rest else self.frames[kind].get(_without_unread(rest), -1)
            if found >= 0 and self.size < _MAX_TEXT:
                self.size += len(rest)
                seen[rest] = found
        return found

    def layout(self, front: bytes, values: Spans) -> int | None:
        """Return the number of the layout of a front, or None when there are too many."""
        blanked = _blanked(front, values)
        for number, layout in enumerate(self.layouts):
            if layout.front == blanked:
                return number
        if len(self.layouts) == _MAX_LAYOUTS:
            return None
        self.layouts.append(Layout(front, values))
        return len(self.layouts) - 1

    def sort(self, data: bytes, starts: Numbers) -> tuple[Bytes, Numbers]:
        """Return for lines that start at some places the numbers and sizes of their layouts; size 0 is of none."""
        numbers, sizes = np.zeros(len(starts), np.uint8), np.zeros(len(starts), np.int64)
        waiting = np.arange(len(starts))
        for number, layout in enumerate(self.layouts):
            fits = layout.fits(data, starts[waiting])
            numbers[waiting[fits]], sizes[waiting[fits]] = number, len(layout.front)
            waiting = waiting[~fits]
            if not len(waiting):
                break
        return numbers, sizes


class Ends:
    """What is known of one end, source or target, by the address: the endpoint that it had last and the one before.

    ``places``, ``last`` and ``before`` have the memo indexes of address and endpoints by an address's number in
    ``numbers``, from 1 on; -1 is none, and all that number 0 has, which is of addresses that are not known.
    """

    def __init__(self) -> None:
        """Know nothing."""
        self.numbers: dict[bytes, int] = {}
        self.places, self.last, self.before = (array("q", [-1]) for _ in range(3))

    def forget(self) -> None:
        """Know nothing again."""
        self.numbers.clear()
        for known in (self.places, self.last, self.before):
            del known[1:]

    def note(self, address: bytes, place: int, endpoint: int) -> None:
        """Note that an address has an endpoint."""
        number = self.numbers.get(address)
        if number is None:
            self.numbers[address] = len(self.places)
            self.places.append(place)
            self.last.append(endpoint)
            self.before.append(-1)
        elif endpoint not in (self.last[number], self.before[number]):  # lines of one chunk may all be new
            self.before[number] = self.last[number]
            self.last[number] = endpoint


class Endpoints:
    """The bytes of the endpoints that were accepted, one after the other, by memo index.

    Those that are no objects, that are too large or for which there is no room have size 0.
    """

    def __init__(self) -> None:
        """Have none."""
        self.text = bytearray(_INLINE)
        self.begins, self.sizes = array("q"), array("q")

    def extend(self, texts: list[msgspec.Raw]) -> None:
        """Take in the endpoints that were added to the memo."""
        for text in map(bytes, texts[len(self.sizes) :]):
            fits = text.startswith(b"{") and _INLINE < len(text) <= _MAX_ENDPOINT and len(self.text) < _MAX_ENDPOINTS
            self.begins.append(len(self.text))
            self.sizes.append(len(text) if fits else 0)
            if fits:
                self.text += text

    def at(self, data: bytes, begins: Numbers, ends: Numbers, guesses: Numbers) -> Bools:
        """Say at which of some places the endpoint guessed (a memo index, or -1) stands, before an end."""
        sizes = _of(self.sizes, guesses)
        same = (guesses >= 0) & (sizes > 0) & (begins + sizes <= ends)
        rows = np.flatnonzero(same)
        there = _views(data, begins[rows], sizes[rows])
        known = _views(self.text, _of(self.begins, guesses[rows]), sizes[rows])
        same[rows] = pc.equal(there, known).to_numpy(zero_copy_only=False)
        return same


class Alike:
    """Takes lines that are like lines that the slow path accepted, and learns from those."""

    def __init__(self, builder: BatchBuilder, address: Callable[[str], int], raw_endpoints: list[msgspec.Raw]) -> None:
        """Add rows to ``builder``; ``address`` interns an address, ``raw_endpoints`` has endpoints by memo index."""
        self.builder = builder
        self.address = address
        self.raw_endpoints = raw_endpoints
        self.endpoints = Endpoints()
        self.families: dict[tuple[Span, Span], Family] = {}  # by the places of time and uuid
        self.sources, self.targets = Ends(), Ends()
        self.credit: float = _MAX_CREDIT
        self.idle = self.pause = 0  # blocks not to be looked at: after the last that was not worth it, from now on

    def forget(self) -> None:
        """Forget what points into the memos of the builder."""
        self.families.clear()
        self.endpoints = Endpoints()
        self.sources.forget()
        self.targets.forget()

    def trim(self) -> None:
        """Keep what is remembered within bounds. Only between batches."""
        if sum(family.size for family in self.families.values()) > _MAX_TEXT:
            self.families.clear()
        for ends in (self.sources, self.targets):
            if len(ends.places) > MAX_MEMO:
                ends.forget()

    def learn(self, line: bytes, source: bytes, target: bytes, meaning: int) -> None:
        """Learn the frame of a line that was accepted, with its raw endpoints and the memo index of its meaning.

        The record must have none of the parts that few records have.
        """
        if self.credit < 1:
            return
        self.credit -= 1
        found = _FRONT.match(line)
        if found is None or not source.startswith(b"{") or not target.startswith(b"{"):
            return
        end = len(line) - len(_END) - len(found["time"])
        rest_at = found.end() + len(source) + len(_BETWEEN) + len(target)
        same = source + _BETWEEN + target + line[rest_at:end] + found["time"] + _END == line[found.end() :]
        rest, flags = _without_unread(line[rest_at:end]), found["flags"]
        if (
            not same
            or not (rest.startswith(_AFTER) and rest.endswith(_BEFORE_TIME))
            or max(len(rest) - _MAX_REST, found.start("source") - _MAX_FRONT, len(flags) - _FLAGS) > 0
        ):
            return
        values = [found.span(name) for name in ("time", "uuid", "mac", "other_mac") if found[name] is not None]
        family = self._family(values[0], values[1])
        layout = None if family is None else family.layout(line[: found.start("source")], values)
        if family is None or layout is None:
            return
        kind = bytes([layout]) + found["kind"]
        if family.frames.get(kind + flags, {}).get(rest) is None:
            try:
                normalise(line[: found.end()] + b"{}" + _BETWEEN + b"{}" + line[rest_at:])
            except (ValueError, RecursionError):  # a key occurs twice, or nobody can tell
                return
            family.add(kind, flags, rest, meaning)

    def _family(self, time: Span, uuid: Span) -> Family | None:
        """Return the family of frames with time and uuid at some places, or None when there are too many."""
        if (time, uuid) not in self.families and len(self.families) == _MAX_FAMILIES:
            return None
        return self.families.setdefault((time, uuid), Family(slice(*time), slice(*uuid)))

    def take(self, lines: Sequence[bytes], first_line: int) -> Sequence[int]:
        """Add the rows of the lines that are like others; return the positions of the other lines, in their order."""
        if not self.families or len(lines) < _FEW or self.pause:
            self.pause = max(self.pause - 1, 0)
            return range(len(lines))
        cut = Cut.of(lines)
        data, starts, ends = cut.text, cut.starts, cut.ends
        left = np.ones(len(starts), np.bool_)
        waiting = np.flatnonzero(ends - starts > _MAX_FRONT)
        for family in self.families.values():
            if len(waiting) < _FEW or not family.frames:
                continue
            layouts, sizes = family.sort(data, starts[waiting])
            fits = sizes > 0
            rows = waiting[fits]
            if len(rows) >= _FEW:
                parts = _Parts(data, family, layouts[fits], starts[rows] + sizes[fits])
                left[rows] = ~self._take(data, family, parts, starts[rows], ends[rows], rows + first_line)
                waiting = waiting[~fits]
        others: list[int] = np.flatnonzero(left).tolist()
        taken = len(lines) - len(others)
        self.credit = min(_MAX_CREDIT, self.credit + taken * _EARNED)
        self.idle = min(2 * self.idle + 1, _MAX_PAUSE) if taken * _WORTH < len(lines) else 0
        self.pause = self.idle
        return others

    def _take(
        self, data: bytes, family: Family, parts: _Parts, starts: Numbers, ends: Numbers, numbers: Numbers
    ) -> Bools:
        """Add the rows of lines of one family, and say which were taken."""
        taken = np.zeros(len(starts), np.bool_)
        width = family.time.stop - family.time.start
        ends = ends - len(_END) - width
        fits = parts.fits & (_texts(data, width, ends) == _texts(data, width, starts + family.time.start))
        rows = np.flatnonzero(fits & _equal(data, _END, ends + width))
        if not len(rows):
            return taken
        row, source, target, meaning = self._match(data, parts, rows, ends[rows])
        parsed = fitting_times(_strings(_windows(data, width, ends[row])))
        if parsed is None or not len(row):
            return taken
        taken[row] = True
        packed = np.empty(len(row), dtype=ROW)
        packed["line"], packed["meaning"] = numbers[row], meaning
        packed["source_ip"], packed["source"] = source
        packed["target_ip"], packed["target"] = target
        packed["source_port"], packed["target_port"] = parts.source_port[row], parts.target_port[row]
        uuids = _windows(data, family.uuid.stop - family.uuid.start, starts[row] + family.uuid.start)
        self.builder.blocks.append(Block(times=parsed, uuids=_strings(uuids), rows=packed))
        return taken

    def _match(self, data: bytes, parts: _Parts, rows: Numbers, ends: Numbers) -> tuple[Numbers, Pair, Pair, Numbers]:
        """Look up what is compared as a whole: addresses, endpoints and the rest of the frame, which goes to ``ends``.

        Returns the rows whose parts are all known, the memo indexes of address and endpoint of their sources and of
        their targets, and their meanings.
        """
        self.endpoints.extend(self.raw_endpoints)
        begins = parts.endpoints[rows]
        places, near = self._ends(self.sources, parts.source[rows], data, begins, ends, _BETWEEN)
        middle = begins + _of(self.endpoints.sizes, near)
        found = np.flatnonzero((near >= 0) & _equal(data, _BETWEEN, middle))
        rows, ends, middle = rows[found], ends[found], middle[found] + len(_BETWEEN)
        source = places[found], near[found]
        places, far = self._ends(self.targets, parts.target[rows], data, middle, ends, _AFTER)
        rest = middle + _of(self.endpoints.sizes, far)
        found = np.flatnonzero((far >= 0) & (ends - rest > _INLINE) & (ends - rest <= _MAX_REST))
        meaning = parts.meanings(parts.kinds[rows[found]], _views(data, rest[found], (ends - rest)[found]))
        known = meaning >= 0
        found = found[known]
        return (
            rows[found], (source[0][found], source[1][found]), (places[found], far[found]), meaning[known]
        )  # fmt: skip

    def _ends(self, ends: Ends, texts: Bytes, data: bytes, begins: Numbers, stops: Numbers, after: bytes) -> Pair:
        """Return the memo indexes of addresses and of the endpoints that begin at some places, -1 if not known."""
        coded = _binary(texts).dictionary_encode()
        addresses = np.frombuffer(coded.dictionary.buffers()[1], f"S{texts.shape[1]}")[: len(coded.dictionary)].tolist()
        which = coded.indices.to_numpy()
        numbers = np.array([ends.numbers.get(address, 0) for address in addresses], np.int64)[which]
        places, endpoints = _of(ends.places, numbers), _of(ends.last, numbers)
        other = np.flatnonzero(~self.endpoints.at(data, begins, stops, endpoints))
        endpoints[other] = _of(ends.before, numbers[other])
        other = other[~self.endpoints.at(data, begins[other], stops[other], endpoints[other])]
        for row in other.tolist():
            begin = int(begins[row])
            end = data.find(after, begin, int(stops[row]))
            found = self._find(ends, addresses[which[row]], data[begin:end]) if end > begin else (-1, -1)
            places[row], endpoints[row] = found
        return places, endpoints

    def _find(self, ends: Ends, address: bytes, text: bytes) -> tuple[int, int]:
        """Return the memo indexes of an address and of an endpoint that it is not known to have, or -1."""
        endpoint = self.builder.endpoints.index.get(text)
        if endpoint is None or not self.endpoints.sizes[endpoint] or not _plain_address(address):
            return -1, -1
        try:
            place = self.address(address.decode())
        except ValueError:
            return -1, -1
        ends.note(address, place, endpoint)
        return place, endpoint


class _Parts:
    """The parts of lines that differ in width, from the source address to where the source endpoint begins.

    ``fits`` says for which lines the others are true: the texts of the addresses, the ports, ``endpoints``, where the
    source endpoint begins, and ``kinds``, the numbers of ``texts``: layout, kind and flags of a frame.
    """

    def __init__(self, data: bytes, family: Family, layouts: Bytes, source: Numbers) -> None:
        """Find the parts of lines of some layouts whose source addresses begin at ``source``."""
        self.source, source_end = _addresses(data, source)
        self.target, target_end = _addresses(data, source_end + len(_TO_DESTINATION))
        self.source_port, port_end = _ports(data, target_end + len(_TO_PORT))
        self.target_port, flags = _ports(data, port_end + len(_TO_TARGET_PORT))
        width = family.flags
        texts = _windows(data, width, flags)
        closed = (texts == ord("}")).argmax(axis=1)
        size = closed + np.where(closed == 0, 2, 3) + len(_SOURCE)
        self.endpoints = flags + size
        kinds = (layouts[:, None], _windows(data, len(_TO_PORT), target_end), _shortened(texts, size))
        coded = _binary(np.concatenate(kinds, axis=1)).dictionary_encode()
        self.family, self.texts = family, [kind.rstrip(b"\0") for kind in coded.dictionary.to_pylist()]
        self.kinds = coded.indices.to_numpy()
        known = np.array([text in family.frames for text in self.texts], np.bool_)
        self.fits = known[self.kinds] & (self.source_port > 0) & (self.target_port > 0)
        self.fits &= _equal(data, _TO_DESTINATION, source_end) & _equal(data, _TO_TARGET_PORT, port_end)

    def meanings(self, kinds: Numbers, rests: pa.Array) -> Numbers:
        """Return the meanings of some frames, -1 if not known; ``rests`` are their last parts."""
        coded = rests.dictionary_encode()
        texts = coded.dictionary.to_pylist()
        both = pa.array(kinds * np.int64(len(texts)) + coded.indices.to_numpy()).dictionary_encode()
        places = (divmod(place, len(texts)) for place in both.dictionary.to_pylist())
        meanings = [self.family.meaning(self.texts[kind], texts[rest]) for kind, rest in places]
        found: Numbers = np.array(meanings, np.int64)[both.indices.to_numpy()]
        return found


def _of(values: array[int], at: Numbers) -> Numbers:
    """Return the values at some indexes."""
    found: Numbers = np.frombuffer(values, np.int64)[at]
    return found


def _views(data: bytes | bytearray, at: Numbers, sizes: Numbers) -> pa.Array:
    """Return the texts of some sizes, more than 12 bytes, at some places without copying them."""
    views = np.empty((len(at), 4), np.int32)  # size, first four bytes, number of the buffer, offset
    views[:, 0], views[:, 2], views[:, 3] = sizes, 0, at
    views[:, 1] = np.ndarray(shape=(len(data) - 3,), dtype="<i4", buffer=data, strides=(1,))[at]
    return pa.Array.from_buffers(pa.binary_view(), len(at), [None, pa.py_buffer(views), pa.py_buffer(data)])


def _windows(data: bytes, width: int, at: Numbers) -> Bytes:
    """Return the ``width`` bytes at each of some places, one a row."""
    places = np.ndarray(shape=(len(data) - width + 1,), dtype=f"V{width}", buffer=data, strides=(1,))
    return places[at].view(np.uint8).reshape(len(at), width)


def _texts(data: bytes, width: int, at: Numbers) -> Texts:
    """Return the ``width`` bytes at each of some places as texts without zero bytes at their ends."""
    return np.ndarray(shape=(len(data) - width + 1,), dtype=f"S{width}", buffer=data, strides=(1,))[at]


def _equal(data: bytes, literal: bytes, at: Numbers) -> Bools:
    """Say at which of some places a literal stands."""
    return np.asarray(_texts(data, len(literal), at) == literal)


def _addresses(data: bytes, at: Numbers) -> tuple[Bytes, Numbers]:
    """Return the texts that begin at some places, zero bytes at their ends, and where they end, at a quote.

    They are empty where no quote is near. A zero byte ends them too, or else it would not be seen.
    """
    texts, sizes = _up_to_quote(data, _MOST_ADDRESSES, at)
    if not sizes.all():
        texts, sizes = _up_to_quote(data, _ADDRESSES, at)
    return _shortened(texts, sizes), at + sizes


def _up_to_quote(data: bytes, width: int, at: Numbers) -> tuple[Bytes, Numbers]:
    """Return the bytes at some places and how many come before a quote or a zero byte: 0 if there is none."""
    texts = _windows(data, width, at)
    return texts, ((texts == ord('"')) | (texts == 0)).argmax(axis=1)


def _shortened(texts: Bytes, sizes: Numbers) -> Bytes:
    """Return texts, one a row, with zero bytes after the given sizes, which are below 256."""
    return texts * (np.arange(texts.shape[1], dtype=np.uint8) < sizes.astype(np.uint8)[:, None])


def _binary(texts: Bytes) -> pa.Array:
    """Return texts of one width, one a row, as an Arrow array."""
    texts = np.ascontiguousarray(texts)
    return pa.Array.from_buffers(pa.binary(texts.shape[1]), len(texts), [None, pa.py_buffer(texts)])


def _ports(data: bytes, at: Numbers) -> tuple[Numbers, Numbers]:
    """Return the port numbers at some places, 0 for what is not plainly one, and where they end."""
    digits = _windows(data, _PORT, at) - ord("0")
    size = (digits > 9).argmax(axis=1)
    numbers = np.einsum("ij,ij->i", digits.astype(np.int32), _POWERS[size])
    return np.where((digits[:, 0] > 0) & (numbers <= 65_535), numbers, 0), at + size


def _strings(texts: Bytes) -> pa.Array:
    """Return ASCII texts of one width, one a row, as an Arrow array of strings."""
    count, width = texts.shape
    offsets = np.arange(0, (count + 1) * width, width, dtype=np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(texts)))


def _without_unread(rest: bytes) -> bytes:
    """Return the last part of a frame without the values that nobody reads: a newline and their colons for each.

    No frame that is learned has a newline of its own, so that texts with the same result differ in such values alone;
    of a text that has one nothing is left. Colons stay because the slow path counts them to notice doubled keys.
    """
    return b"" if b"\n" in rest else _UNREAD.sub(_blank, rest)


def _blank(found: re.Match[bytes]) -> bytes:
    """Return what stays of a member whose value nobody reads: what its key begins with, and its colons."""
    text = found[0]
    return text[:10] + b"\n" + b":" * text.count(b":")


def _blanked(front: bytes, values: Spans) -> bytes:
    """Return the front of a line without the values in it, which are at least one byte each."""
    text = bytearray(front)
    for begin, end in values:
        text[begin:end] = bytes(end - begin)
    return bytes(text)
