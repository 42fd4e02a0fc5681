"""POST events and batch_events, parsed by llhttp and answered in order; anything else goes to aiohttp unread.

A request is taken here only when its whole head says that it is a plain publish: known path, a length, nothing that
asks for more than an answer. The bytes of any other request, or of one that llhttp does not like, are handed over from
its first byte on, and so is the connection; so every answer but the usual ones is given by one server.
"""

cimport cython

import httptools

from engine._fast.clock cimport monotonic_s

cdef enum:
    #: Longest head; longer ones are aiohttp's to refuse.
    MAX_HEAD = 8000
    #: Unread bytes beyond one request's own at which reading pauses until answers have been given.
    MAX_UNREAD = 262144


@cython.final
cdef class PublishProtocol:
    """One connection.

    :param answer: ``async (target, body) -> bytes``; never raises.
    :param elsewhere: ``(transport, unread)`` takes the connection over.
    :param spawn: ``(coroutine, name, end)`` runs it in the background; calls `end` should it raise.
    :param on_end: called once, with this object, when it has nothing to do with the connection any more.
    :param path_prefix: before ``/apps/``.
    :param max_body_bytes: longer bodies are aiohttp's to refuse.
    """

    def __init__(self, answer, elsewhere, spawn, on_end, str path_prefix not None, Py_ssize_t max_body_bytes):
        self._answer = answer
        self._elsewhere = elsewhere
        self._spawn = spawn
        self._on_end = on_end
        self._prefix = f"POST {path_prefix}/apps/".encode()
        self._max_body = max_body_bytes
        self._unread = b""
        self._parser = httptools.HttpRequestParser(self)
        self.last_activity = monotonic_s()

    # --- asyncio.Protocol

    def connection_made(self, transport):
        self._transport = transport

    def data_received(self, bytes data not None):
        self.last_activity = monotonic_s()
        self._unread = self._unread + data if self._unread else data
        if not self.busy and not self._paused:
            self._look()
        elif len(self._unread) > MAX_UNREAD:
            self._transport.pause_reading()

    def eof_received(self):
        return False

    def pause_writing(self):
        self._paused = True

    def resume_writing(self):
        self._paused = False
        if not self.busy:
            self._look()

    def connection_lost(self, error):
        if self._transport is not None:
            self._transport = None
            self._on_end(self)

    # --- called by the listener

    def close(self):
        """End the connection, after the answer that is under way."""
        self._closing = True
        if not self.busy and self._transport is not None:
            self._transport.close()

    def abort(self):
        """End the connection at once."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    # --- one request after the other

    cdef int _look(self) except -1:
        """Answer what is complete, wait for what is not, hand over what is not ours."""
        cdef Verdict verdict
        if self._transport is None or self._closing:
            return 0
        verdict = self._next()
        if verdict == READY:
            self.busy = True
            self._spawn(self._serve(), "publish", self.abort)
        elif verdict == FOREIGN:
            self._hand_over()
        return 0

    async def _serve(self):
        """Answer all requests that are complete now, in order, with one write."""
        cdef Verdict verdict = READY
        cdef list out = []
        while verdict == READY:
            target, body = self._take()
            out.append(await self._answer(target, body))
            if self._transport is None:
                return
            verdict = WAIT if self._closing or self._paused else self._next()
        self._transport.write(out[0] if len(out) == 1 else b"".join(out))
        self.busy = False
        self.last_activity = monotonic_s()
        if self._closing:
            self._transport.close()
        elif verdict == FOREIGN:
            self._hand_over()
        else:
            self._transport.resume_reading()

    cdef tuple _take(self):
        """The next request, which is complete: (target, body)."""
        cdef Py_ssize_t end = self._head + self._body
        cdef bytes body = self._unread[self._head:end]
        self._unread = self._unread[end:]
        self._head = 0
        if self._body and not self._offered:
            self._parser.feed_data(body)
        return self._target, body

    cdef Verdict _next(self) except? FOREIGN:
        """What the unread bytes begin with."""
        cdef Verdict verdict
        if not self._unread:
            return WAIT
        if not self._head:
            verdict = self._read_head()
            if verdict != READY:
                return verdict
        return READY if len(self._unread) >= self._head + self._body else WAIT

    cdef Verdict _read_head(self) except? FOREIGN:
        """Whether a whole head of ours is there; it is parsed then."""
        cdef Verdict verdict = self._request_line()
        cdef Py_ssize_t end
        if verdict != READY:
            return verdict
        end = self._unread.find(b"\r\n\r\n")
        if end > MAX_HEAD or (end < 0 and len(self._unread) > MAX_HEAD):
            return FOREIGN
        if end < 0:
            return WAIT
        self._plain, self._has_length, self._body, self._hosts, self._offered = True, False, 0, 0, False
        try:
            self._parser.feed_data(self._unread[:end + 4])
        except httptools.HttpParserUpgrade:
            # A client may offer another protocol with any request and need not be followed (RFC 9110 section 7.8), but
            # this parser takes the offer for a change and would not read the body.
            self._parser, self._offered = httptools.HttpRequestParser(self), True
        except httptools.HttpParserError:
            self._plain = False
        if not self._plain or not self._has_length or self._hosts != 1 or self._body > self._max_body:
            return FOREIGN
        self._head = end + 4
        return READY

    cdef Verdict _request_line(self) except? FOREIGN:
        """Whether it is that of POST /apps/{id}/events or /batch_events; no more of it is looked at here."""
        cdef bytes data = self._unread
        cdef Py_ssize_t end
        if not data.startswith(self._prefix):
            return WAIT if self._prefix.startswith(data) else FOREIGN
        end = data.find(b" ", len(self._prefix))
        if end < 0:
            return FOREIGN if len(data) > MAX_HEAD else WAIT
        path = data[len(self._prefix):end].partition(b"?")[0]
        return READY if path.count(b"/") == 1 and path.endswith((b"/events", b"/batch_events")) else FOREIGN

    cdef int _hand_over(self) except -1:
        transport, self._transport = self._transport, None
        unread, self._unread = self._unread, b""
        self._parser = None
        self._on_end(self)
        self._elsewhere(transport, unread)
        return 0

    # --- called by llhttp

    def on_url(self, bytes url not None):
        self._target = url

    def on_header(self, bytes name not None, bytes value not None):
        name = name.lower()
        if name == b"content-length":
            if self._has_length or not value.isdigit() or len(value) > 15:
                self._plain = False
            else:
                self._has_length = True
                self._body = int(value)
        elif name == b"host":
            self._hosts += 1
        elif name in _NOT_PLAIN:
            self._plain = False

    def on_headers_complete(self):
        # Asked here: without a body the message is complete as well, and llhttp has forgotten what its head said.
        if not self._parser.should_keep_alive() or self._parser.get_http_version() != "1.1":
            self._plain = False


#: What asks for more than an answer to a body of known length. `Origin` is among them for its CORS headers.
_NOT_PLAIN = frozenset((
    b"transfer-encoding",
    b"content-encoding",
    b"expect",
    b"origin",
    b"trailer",
    b"x-idempotency-key",
))
