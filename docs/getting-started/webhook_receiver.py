"""Receives webhooks and checks that they are genuine, with Python's standard library alone.

Start it with ``python3 webhook_receiver.py SECRET [PORT]`` and give its address to a webhook of the same application.
"""

import hashlib
import hmac
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = sys.argv[1].encode()
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 8001


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        # The signature covers exactly these bytes: check it before anything parses or changes them.
        body = self.rfile.read(int(self.headers["Content-Length"]))
        signature = self.headers.get("X-Pusher-Signature", "").removeprefix("sha256=")
        expected = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
        genuine = hmac.compare_digest(expected.encode(), signature.encode())
        if genuine:
            for event in json.loads(body)["events"]:
                # In one piece: webhooks come side by side, each on a thread.
                sys.stdout.write(f"{self.headers['X-Webhook-Id']} {json.dumps(event)}\n")
            sys.stdout.flush()
        self.send_response(200 if genuine else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", PORT), Receiver).serve_forever()
