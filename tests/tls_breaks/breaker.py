"""`python -m tests.tls_breaks.breaker CERT KEY`: a server that breaks off TLS connections at every stage in turn.

Prints its port; when its input ends it prints how often it broke off at which stage, as JSON.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import socket
import ssl
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable

#: Longer than any client here waits.
HANG_S = 3.0
#: What stands at the beginning of a ServerHello, without its end.
HALF_HELLO = bytes.fromhex("160303007a020000760303")

Stage = Callable[[socket.socket, ssl.SSLContext], None]


def close_at_once(peer: socket.socket, _: ssl.SSLContext) -> None:
    pass


def reset_at_once(peer: socket.socket, _: ssl.SSLContext) -> None:
    _reset(peer)


def reset_soon(peer: socket.socket, _: ssl.SSLContext) -> None:
    time.sleep(random.random() * 0.004)
    _reset(peer)


def close_after_hello(peer: socket.socket, _: ssl.SSLContext) -> None:
    peer.recv(65536)


def reset_after_hello(peer: socket.socket, _: ssl.SSLContext) -> None:
    peer.recv(65536)
    _reset(peer)


def half_an_answer(peer: socket.socket, _: ssl.SSLContext) -> None:
    peer.recv(65536)
    peer.sendall(HALF_HELLO)


def garbage(peer: socket.socket, _: ssl.SSLContext) -> None:
    peer.recv(65536)
    peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def close_after_handshake(peer: socket.socket, context: ssl.SSLContext) -> None:
    context.wrap_socket(peer, server_side=True).close()


def hang(peer: socket.socket, _: ssl.SSLContext) -> None:
    time.sleep(HANG_S)


#: A hang comes seldom: it costs a thread, and the client its whole time-out.
SOON: tuple[Stage, ...] = (
    *(close_at_once, reset_at_once, reset_soon, close_after_hello, reset_after_hello),
    *(reset_at_once, reset_soon, half_an_answer, garbage, close_after_handshake),
)
STAGES: tuple[Stage, ...] = SOON * 5 + (hang,)


def main(certificate: str, key: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    counts: Counter[str] = Counter()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    threading.Thread(target=_accept, args=(listener, context, counts), daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()
    print(json.dumps(dict(counts)), flush=True)


def _accept(listener: socket.socket, context: ssl.SSLContext, counts: Counter[str]) -> None:
    for stage in itertools.cycle(STAGES):
        peer, _ = listener.accept()
        counts[stage.__name__] += 1
        if stage in (close_at_once, reset_at_once):
            _play(stage, peer, context)
        else:
            threading.Thread(target=_play, args=(stage, peer, context), daemon=True).start()


def _play(stage: Stage, peer: socket.socket, context: ssl.SSLContext) -> None:
    peer.settimeout(HANG_S)
    with peer, contextlib.suppress(OSError):
        stage(peer, context)


def _reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


if __name__ == "__main__":
    main(*sys.argv[1:])
