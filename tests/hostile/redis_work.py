"""`python -m tests.hostile.redis_work`: what one client that joins and leaves makes Redis do, for each byte it sends.

Every channel is joined, and left once all were joined, with webhooks for both. Nothing is judged.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from tests.hostile.attacks import message
from tests.soak.figures import at_rest
from tests.soak.visitors import client
from tests.support.engine import APP, Engine, running
from tests.support.receiver import WebhookReceiver
from tests.support.valkey import ValkeyServer

IDLE_S = 5.0


async def join_and_leave(port: int, channels: int) -> int:
    """Bytes that were sent."""
    names = [{"channel": f"work-{n}"} for n in range(channels)]
    joins, leaves = (
        b"".join(message(f"pusher:{word}", name) for name in names) for word in ("subscribe", "unsubscribe")
    )
    async with client(port) as one:
        one.writer.write(joins)
        for _ in names:
            await one.next("pusher_internal:subscription_succeeded")
        one.writer.write(leaves)
        await one.pong()
    return len(joins) + len(leaves)


def work(valkey: ValkeyServer) -> tuple[int, int]:
    """(commands that Redis has done, those of scripts among them; bytes that it was sent)."""
    with valkey.client() as redis:
        commands = sum(each["calls"] for each in redis.info("commandstats").values())
        return commands, redis.info("stats")["total_net_input_bytes"]


def play(engine: Engine, valkey: ValkeyServer, channels: int) -> tuple[int, float, float]:
    """(bytes of the client, commands and bytes of Redis), without what an idle engine asks meanwhile."""
    at_rest(engine, valkey)
    began_s, before = time.monotonic(), work(valkey)
    time.sleep(IDLE_S)
    idle_s, idle = time.monotonic() - began_s, work(valkey)
    began_s = time.monotonic()
    sent = asyncio.run(join_and_leave(engine.port, channels))
    at_rest(engine, valkey)
    took_s, after = time.monotonic() - began_s, work(valkey)
    commands, read = (
        end - start - (start - first) / idle_s * took_s for first, start, end in zip(before, idle, after, strict=True)
    )
    return sent, commands, read


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.redis_work", description=__doc__)
    parser.add_argument("--channels", type=int, default=900)
    parser.add_argument("--endpoints", type=int, nargs="*", default=[0, 1, 10], help="of webhooks, one run for each")
    parser.add_argument("--batching", action="store_true", help="of webhooks, as it is by default")
    options = parser.parse_args()
    print("| endpoints | commands for each kB of the client | bytes for each byte |", "|---:|---:|---:|", sep="\n")
    for count in options.endpoints:
        with WebhookReceiver() as receiver, ValkeyServer() as valkey:
            hooks = [
                {"url": f"{receiver.url}/{n}", "event_types": ["channel_occupied", "channel_vacated"]}
                for n in range(count)
            ]
            config = {
                "app_manager": {"array": {"apps": [APP | {"webhooks": hooks}]}},
                "database": {"redis": {"url": valkey.url}},
            }
            if options.batching:
                config["webhooks"] = {"batching": {"enabled": True}}
            with running(config, 2, noise=None) as engine:
                sent, commands, read = play(engine, valkey, options.channels)
            print(f"| {count} | {commands / sent * 1000:.0f} | {read / sent:.1f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
