#!/bin/sh
# Pysher 1.0.8 (PyPI), a Pusher client in Python, with auto_sub=True and a presence channel.
#
# Guess: `auto_sub` subscribes to the same channels again after a reconnect, as its documentation says, with a signature for
#   the new socket id: the library made the first one itself, from the secret that it was given.
# Seen: the second pusher:subscribe has neither `auth` nor `channel_data`; only public channels come back.
# Consequence: after any restart of a server a client that is connected hears nothing of its private and presence channels,
#   and nothing says so. Applications have to subscribe in a handler of pusher:connection_established, each time.
#
# Ends with 0 while this is so, and with 1 when it is not any more.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pysher==1.0.8 'websockets==15.0.1'
"$folder/venv/bin/python" - <<'PYTHON'
import json
import os
import queue
import threading

import pysher
from websockets.sync.server import serve

heard = queue.Queue()


def talk(socket):
    """A server that asks its first client to come again, as it does before a restart."""
    number = talk.connections = getattr(talk, "connections", 0) + 1
    data = json.dumps({"socket_id": f"1.{number}", "activity_timeout": 120})
    socket.send(json.dumps({"event": "pusher:connection_established", "data": data}))
    for message in socket:
        told = json.loads(message)
        if told["event"] == "pusher:subscribe":
            heard.put(told["data"])
            if number == 1:
                socket.send(json.dumps({"event": "pusher:error", "data": {"code": 4200, "message": "come again"}}))


server = serve(talk, "127.0.0.1", 0)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = pysher.Pusher(
    "key", secret="secret", user_data={"user_id": "ann"}, custom_host="127.0.0.1",
    port=server.socket.getsockname()[1], secure=False, auto_sub=True,
)
client.connection.bind(
    "pusher:connection_established", lambda _: client.channels or client.subscribe("presence-room")
)
client.connect()
first, second = heard.get(timeout=30), heard.get(timeout=30)
print("first: ", sorted(first))
print("second:", sorted(second))
seen = sorted(first) == ["auth", "channel", "channel_data"] and sorted(second) == ["channel"]
os._exit(0 if seen else 1)
PYTHON
