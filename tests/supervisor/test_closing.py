"""A listening socket is closed without a handshake in it being refused or reset."""

from __future__ import annotations

import socket

import pytest

from engine.supervisor.closing import refuse_silently, waiting


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_newcomers_are_dropped_and_those_who_wait_are_served(family: socket.AddressFamily, host: str) -> None:
    with socket.socket(family) as listening, socket.socket(family) as late:
        listening.bind((host, 0))
        listening.listen()
        assert waiting(listening) == 0
        with socket.create_connection(listening.getsockname()[:2]) as early:
            assert waiting(listening) == 1
            refuse_silently(listening)
            late.settimeout(0.2)
            with pytest.raises(TimeoutError):
                late.connect(listening.getsockname())
            accepted, _ = listening.accept()
            with accepted:
                accepted.sendall(b"served")
                assert early.recv(16) == b"served"
            assert waiting(listening) == 0


def test_a_unix_socket_is_left_alone(tmp_path: object) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{tmp_path}/socket")
        listening.listen()
        refuse_silently(listening)
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(f"{tmp_path}/socket")
        assert waiting(listening) == 0
