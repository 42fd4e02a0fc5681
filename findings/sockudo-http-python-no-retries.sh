#!/bin/sh
# Software:     sockudo-http-python 2.2.0 (PyPI), the official back-end library of Sockudo for Python.
# One guesses:  SockudoOptions(max_retries=0) sends each request once, and does not repeat it.
# It does:      send nothing at all. The option counts attempts, not repetitions: with 0 the loop that sends is never
#               entered, and trigger() returns Result(NETWORK_ERROR, "request was not attempted") without raising.
#               With 1 there is one request.
# Consequence:  whoever turns repetitions off, so that nothing is published twice, publishes nothing, and hears of it only by
#               looking at the result.
# Seen with:    Python 3.11, httpx 0.28.1; prints "0 attempts: 0 requests, request was not attempted" and
#               "1 attempt: 1 requests, {}". Exits 0 while that is so, 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check sockudo-http-python==2.2.0
"$folder/venv/bin/python" - <<'PY'
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from sockudo_http_python import Sockudo, SockudoOptions

requests = []


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        requests.append(self.path)
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *arguments):
        pass


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()


def publish(max_retries):
    requests.clear()
    options = SockudoOptions(host="127.0.0.1", port=server.server_port, max_retries=max_retries)
    sockudo = Sockudo("1", "key", "secret", options=options)
    result = sockudo.trigger("room", "event", "data")
    sockudo.close()
    return len(requests), result.message


none, once = publish(0), publish(1)
print(f"0 attempts: {none[0]} requests, {none[1]}")
print(f"1 attempt: {once[0]} requests, {once[1]}")
sys.exit(none != (0, "request was not attempted") or once != (1, "{}"))
PY
