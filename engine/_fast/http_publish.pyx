"""POST events and batch_events, parsed by llhttp and answered in order; anything else goes to aiohttp unread.

A request is taken here only when its whole head says that it is a plain publish: known path, a length, nothing that
asks for more than an answer. The bytes of any other request, or of one that llhttp does not like, are handed over from
its first byte on, and so is the connection; so every answer but the usual ones is given by one server.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memcpy

from engine._fast.clock cimport monotonic_ns, monotonic_s
from engine._fast.ending cimport end
from engine._fast.http_socket cimport HttpSocket
from engine._fast.publish_head cimport FOREIGN, READY, WAIT, Request, Verdict, next_request
from engine._fast.queues cimport ReadQueue
from engine._fast.readable cimport Readers
from engine._fast.unread cimport unread_drop, unread_free, unread_put

cdef extern from "time.h" nogil:
    long c_time "time"(void* out)

cdef enum:
    #: Unread bytes beyond one request's own at which reading pauses until answers have been given.
    MAX_UNREAD = 262144
    #: What one connection may have done in a turn of the loop before the others' turn comes.
    TURN_NS = 500000
    MAX_REQUESTS = 256
    #: Bytes of answers that go to the kernel at once.
    MAX_ANSWERS = 65536

# Seconds; no byte that comes moves them. A head and a body have that long from the request's first byte on, and a client
# that does not read its answers has as long.
HEAD_TIMEOUT_S = 10
BODY_TIMEOUT_S = 30
#: A socket that was closed has this long for what is still unread.
CLOSE_TIMEOUT_S = 5
#: An idle connection is kept this long for the next request, by aiohttp too; longer than load balancers usually keep
#: theirs.
KEEPALIVE_TIMEOUT_S = 75

#: Answers of the connection whose requests are being answered; empty at all other times.
cdef char _answers[MAX_ANSWERS]


@cython.final
cdef class PublishServer:
    """What the connections of one worker share.

    :param plain: answers what is plain; None sends everything to `answer`.
    :param answer: ``async (target, body) -> bytes``; never raises.
    :param refuse: ``(target, body_bytes) -> bytes | None``: the answer, if the head alone is enough to refuse.
    :param usual: ``() -> bytes``: the whole answer to a plain publish now; :param late: to one whose body took too long;
        :param untaken: ``(app id, body bytes, seconds, error)``: to one that the other workers will not all get.
    :param elsewhere: ``(transport, unread, source)`` takes a connection over.
    :param serve: ``(coroutine, name, end)`` runs it in the background; calls `end` should it raise.
    :param loop: the running one.
    :param path_prefix: before ``/apps/``.
    :param max_body_bytes: longer bodies are aiohttp's to refuse.
    :ivar sampler: publishes what is plain instead of `plain`, and answers instead of `answer`, where spans are made.
    :ivar on_empty: called when the last connection has gone, if set.
    """

    def __init__(self, PlainPublisher plain, answer, refuse, usual, late, untaken, elsewhere, serve, loop,
                 str path_prefix not None, Py_ssize_t max_body_bytes):
        self.plain = plain
        self._answer = answer
        self._refuse = refuse
        self._usual = usual
        self._late = late
        self._untaken = untaken
        self._elsewhere = elsewhere
        self._serve = serve
        self.reads = ReadQueue(loop.call_soon)
        self.readers = Readers(None if plain is None else plain._hub.flush_queue, loop.add_reader, loop.remove_reader)
        self._prefix = f"{path_prefix}/apps/".encode()
        self._max_body = max_body_bytes
        self.connections = set()

    def connect(self, transport, bytes data not None, source=None):
        """Serve a connection, of which these bytes have come. :param source: what is to be said of where it comes from."""
        cdef PublishProtocol connection = PublishProtocol(self)
        connection._source = source
        self.connections.add(connection)
        transport.set_protocol(connection)
        connection.connection_made(transport)
        connection.data_received(data)

    def sweep(self):
        """Close what has been idle for too long, and what is too slow. To be called once a second."""
        for connection in list(self.connections):
            (<PublishProtocol>connection).check()

    cdef int forget(self, PublishProtocol connection) except -1:
        self.connections.discard(connection)
        if not self.connections and self.on_empty is not None:
            self.on_empty()
        return 0

    cdef bytes _usual_answer(self):
        cdef long now_s = c_time(NULL)
        if now_s != self._ok_s:
            self._ok, self._ok_s = self._usual(), now_s
        return self._ok


@cython.final
cdef class PublishProtocol(HttpSocket):
    """One connection; the protocol of its transport until it is handed over."""

    def __init__(self, PublishServer server not None):
        HttpSocket.__init__(self, server.readers)
        self._server = server
        self.last_activity = monotonic_s()

    def __dealloc__(self):
        unread_free(&self._unread)

    # --- asyncio.Protocol

    cdef int _received(self, const char* start, Py_ssize_t size) except -1:
        cdef Py_ssize_t taken
        self.last_activity = monotonic_s()
        if self._skip:
            taken = min(self._skip, size)
            self._skip -= taken
            start += taken
            size -= taken
            if self._skip == 0:
                refusal, self._refusal = self._refusal, None
                self._begun = 0
                self._write(PyBytes_AS_STRING(refusal), PyBytes_GET_SIZE(refusal))
        if size == 0 or self._transport is None:
            return 0
        if self._unread.size == 0 and not self.busy and not self._paused and not self._put_off:
            taken = self._work(start, size)
            if self._transport is not None and taken < size:
                unread_put(&self._unread, start + taken, size - taken, self._needs)
        else:
            unread_put(&self._unread, start, size, self._needs)
            if self._unread.size >= self._needs:
                self.go_on()
        if self._unread.size > MAX_UNREAD + self._needs or (self._unread.size and (self._paused or self._put_off)):
            self._read_on(False)
        return 0

    def eof_received(self):
        """A client that only has no more to say still gets its answers; TLS knows no such half."""
        self._eof = True
        return self._fd >= 0 and (self.busy or self._put_off or self._paused)

    def pause_writing(self):
        self._paused = True
        self._paused_at = monotonic_s()

    def resume_writing(self):
        self._paused = False
        self.go_on()

    def connection_lost(self, error):
        self._unwatch()
        self._fd = -1
        self._transport = None
        unread_free(&self._unread)
        self._server.forget(self)

    # --- called by the server

    def close(self):
        """End the connection, after the answer that is under way."""
        self._closing = True
        if not self.busy and self._transport is not None:
            self._end()

    def abort(self, bint forget=False):
        """End the connection at once. :param forget: whether the kernel is to forget what its client has not read."""
        self._closing = True
        self._unwatch()
        if self._transport is not None:
            end(self._transport, forget)

    def check(self):
        """Whether the client keeps its time; if not, the connection ends."""
        cdef uint32_t now = monotonic_s()
        if self._ended_at:
            if now - self._ended_at >= CLOSE_TIMEOUT_S:
                self.abort(True)
            return
        if self.busy or self._put_off:
            return
        if self._paused:
            if now - self._paused_at >= BODY_TIMEOUT_S:
                self.abort(True)
        elif self._begun:
            if self._in_body and now - self._begun >= BODY_TIMEOUT_S:
                if self._skip:
                    self.abort()  # a stranger, who is answered nothing before the end of the body that he announced
                else:
                    late = <bytes>self._server._late()
                    self._write(PyBytes_AS_STRING(late), PyBytes_GET_SIZE(late))
                    self.close()
            elif not self._in_body and now - self._begun >= HEAD_TIMEOUT_S:
                self.abort()
        elif now - self.last_activity >= KEEPALIVE_TIMEOUT_S:
            self.close()

    # --- one request after the other

    cdef int fail(self) except -1:
        self.abort()
        return 0

    cdef int go_on(self) except -1:
        """Answer what is complete among what has been kept."""
        cdef Py_ssize_t taken
        self._put_off = False
        if self._awaited is not None and self._awaited.under_way == 0:
            return self._end_awaited()
        if self._transport is None or self.busy or self._paused or self._unread.size == 0:
            return 0
        taken = self._work(self._unread.data, self._unread.size)
        if self._transport is not None:
            unread_drop(&self._unread, taken)
            if not self.busy and not self._paused and not self._put_off:
                self._read_on(True)
        return 0

    cdef Py_ssize_t _work(self, const char* data, Py_ssize_t size) except -1:
        """Answer what is complete, wait for what is not, hand over what is not ours; how many bytes are done with."""
        cdef long long deadline = 0, clock_ns = 0
        cdef Py_ssize_t done = 0, total, answered = 0
        cdef int requests = 0
        cdef Verdict verdict = WAIT
        cdef Request request
        cdef const char* body
        cdef bytes answer
        self._needs = 0
        while done < size and not self._closing:
            verdict = next_request(
                data + done, size - done, self._server._prefix, self._server._max_body, &request
            )
            self._in_body, self._needs = request.in_body, request.needs
            if verdict != READY:
                break
            body = data + done + request.head_bytes
            total = request.head_bytes + request.head.body_bytes
            self._begun, self._in_body = 0, False
            requests += 1
            if self._server.plain is not None and self._server.plain.publish(
                &request.target, &request.head, body, &clock_ns
            ):
                if self._server.plain.awaited is not None:
                    self._awaited, self.busy = self._server.plain.take(self, self._server.reads), True
                    if answered:
                        self._write(_answers, answered)
                    return done + total
                answer = self._server._usual_answer()
            elif self._server.sampler is not None and self._server.sampler.publish(
                &request.target, &request.head, data + done, request.head_bytes, body, &clock_ns
            ):
                answer = self._server._usual_answer()
            else:
                clock_ns = 0
                if answered:
                    # Whatever this one waits for, those before it are done.
                    self._write(_answers, answered)
                    answered = 0
                    if self._paused or self._transport is None:
                        return done
                answer = self._ask(
                    request.head.target.at[:request.head.target.size], body[:request.head.body_bytes],
                    None if self._server.sampler is None else self._server.sampler.caller(
                        data + done, request.head_bytes
                    ),
                )
                if answer is None:
                    return done + total
            done += total
            if answered + PyBytes_GET_SIZE(answer) > MAX_ANSWERS:
                self._write(_answers, answered)
                answered = 0
            if PyBytes_GET_SIZE(answer) > MAX_ANSWERS:
                self._write(PyBytes_AS_STRING(answer), PyBytes_GET_SIZE(answer))
            else:
                memcpy(_answers + answered, PyBytes_AS_STRING(answer), <size_t>PyBytes_GET_SIZE(answer))
                answered += PyBytes_GET_SIZE(answer)
            if self._paused or self._transport is None:
                break
            if clock_ns == 0:
                clock_ns = monotonic_ns()
            if deadline == 0:
                deadline = clock_ns + TURN_NS
            elif requests >= MAX_REQUESTS or clock_ns > deadline:
                if done < size:
                    self._put_off = True
                    self._server.reads.put_off(self)
                break
        if answered:
            self._write(_answers, answered)
            self.last_activity = monotonic_s()
        if self._transport is None or self._put_off:
            return done
        if self._closing or (self._eof and verdict != FOREIGN and not self._paused):
            self._end()
        elif verdict == FOREIGN:
            # Not before the client has read what it was answered: who comes next does not know how much that is.
            if not self._paused:
                self._hand_over(data[done:size])
        elif done < size:
            if self._begun == 0:
                self._begun = monotonic_s() or 1
            if self._in_body and not self._paused:
                self._refuse_early(&request.head, request.needs - (size - done))
                if self._skip:
                    return size
        return done

    cdef int _end_awaited(self) except -1:
        cdef Awaited awaited = self._awaited
        self._awaited = None
        if awaited.end():
            return self._give(self._server._usual_answer())
        return self._give(self._server._untaken(
            awaited.traffic.app_id, awaited.body_bytes, (monotonic_ns() - awaited.began_ns) / 1e9, awaited.error
        ))

    cdef bytes _ask(self, bytes target, bytes body, bytes caller):
        """The answer to a request that is not plain; None when it has to be waited for."""
        self.busy = self._inline = True
        self._server._serve(self._answer(target, body, caller), "publish", self.abort)
        self._inline = False
        got, self._got = self._got, None
        return got

    async def _answer(self, bytes target, bytes body, bytes caller):
        cdef bytes answer
        if caller is None:
            answer = await self._server._answer(target, body)
        else:
            answer = await self._server.sampler.answer(target, body, caller)
        if self._inline:
            self.busy, self._got = False, answer
        else:
            self._give(answer)

    cdef int _give(self, bytes answer) except -1:
        """The answer that was waited for; then the next request."""
        self.busy = False
        self._write(PyBytes_AS_STRING(answer), PyBytes_GET_SIZE(answer))
        self.last_activity = monotonic_s()
        if self._closing and self._transport is not None:
            self._end()
        elif self._unread.size:
            self.go_on()
        elif self._eof and self._transport is not None:
            self._end()
        else:
            self._read_on(True)
        return 0

    cdef int _refuse_early(self, const Head* head, Py_ssize_t missing) except -1:
        """Keep nothing of a body that will be refused whatever it says; its sender hears so when all of it has come."""
        self._refusal = self._server._refuse(head.target.at[:head.target.size], head.body_bytes)
        self._skip = 0 if self._refusal is None else missing
        return 0

    cdef int _hand_over(self, bytes unread) except -1:
        self._unwatch()
        if self._own or not self._reading:
            self._own, self._reading = False, True
            self._transport.resume_reading()
        transport, self._transport = self._transport, None
        self._fd = -1
        unread_free(&self._unread)
        self._server.forget(self)
        if not transport.is_closing():
            self._server._elsewhere(transport, unread, self._source)
        return 0
