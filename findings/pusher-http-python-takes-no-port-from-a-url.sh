#!/bin/sh
# pusher 3.3.4 (PyPI, pusher-http-python): `Pusher.from_url`, which `Pusher.from_env` calls with PUSHER_URL.
#
# Guess: the URL may hold a port, as http://KEY:SECRET@HOST:PORT/apps/ID; pusher 5.3.4 for Node takes it from there.
# Seen: "HOST:PORT" is taken for the host, the scheme's port is put behind it, and every call fails with requests'
#   InvalidURL, "Failed to parse: 'HOST:PORT:80'". Without a port in the URL, and with `port=` beside it, it works.
# Consequence: one PUSHER_URL for back ends in both languages has no port in it, so both need the scheme's own port; or
#   those in Python say `Pusher.from_env(port=…)`.
#
# Ends with 0 while this is so, and with 1 when it is not any more.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip --quiet install pusher==3.3.4 2>/dev/null
cat >scene.py <<'EOF'
import http.server
import os
import threading
from importlib.metadata import version

import pusher
import requests


class Api(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Api)
threading.Thread(target=server.serve_forever, daemon=True).start()
port = server.server_port


def tried(url, **options):
    os.environ["PUSHER_URL"] = url
    try:
        return str(pusher.Pusher.from_env(**options).trigger("room", "event", {}))
    except requests.RequestException as error:
        return f"{type(error).__name__}: {error}"


inside = tried(f"http://key:secret@127.0.0.1:{port}/apps/1")
beside = tried("http://key:secret@127.0.0.1/apps/1", port=port)
print(f"pusher {version('pusher')}, requests {version('requests')}")
print(f"port in the URL: {inside}")
print(f"port beside it:  {beside}")
raise SystemExit(0 if inside.startswith("InvalidURL") and beside == "{}" else 1)
EOF
venv/bin/python scene.py
