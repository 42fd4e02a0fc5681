"""Where a span belongs: in the headers of a request (W3C Trace Context), in queue entries, and between workers.

Pure. What it reads comes from strangers: whatever is not in the form is None.
"""

from __future__ import annotations

import re
import struct

from opentelemetry.trace import SpanContext, TraceFlags

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:\Z|-)")
#: The kind of message (`_fast/envelope.pyx`); microseconds since the epoch; trace, span, flags.
_MARK = struct.Struct("!BQ16s8sB")
MARK = 7


def read(traceparent: str) -> SpanContext | None:
    """A header's value (https://www.w3.org/TR/trace-context/, 3.2)."""
    found = _TRACEPARENT.match(traceparent)
    if found is None or (traceparent.startswith("00") and len(traceparent) != 55):
        return None
    return _context(int(found[1], 16), int(found[2], 16), int(found[3], 16))


def write(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def pack_mark(context: SpanContext, began_us: int) -> bytes:
    """What goes to the workers behind an event. :param began_us: when it was sent."""
    trace, span = context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big")
    return _MARK.pack(MARK, began_us, trace, span, context.trace_flags)


def read_mark(mark: bytes) -> tuple[SpanContext, int] | None:
    """The span that the event in front was sent by, and when."""
    if len(mark) != _MARK.size or mark[0] != MARK:
        return None
    _, began_us, trace, span, flags = _MARK.unpack(mark)
    context = _context(int.from_bytes(trace, "big"), int.from_bytes(span, "big"), flags)
    return None if context is None else (context, began_us)


def _context(trace_id: int, span_id: int, flags: int) -> SpanContext | None:
    context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags & TraceFlags.SAMPLED))
    return context if context.is_valid else None
