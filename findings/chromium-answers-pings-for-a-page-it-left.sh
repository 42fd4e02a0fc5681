#!/bin/sh
# Chromium 156.0.8078.108 (Debian 12) and a page with an open WebSocket that the user leaves; the server is websockets 15.0.1 (PyPI).
#
# Guess: a page that is left is closed, and its WebSocket with it (a page with one was not fit for the back/forward cache), or at
#   least its silence shows that nobody is there.
# Seen: the page is frozen in the back/forward cache and its socket stays open. The browser goes on answering WebSocket pings for
#   it, while no script of the page runs, so messages are not answered. When the user comes back, the socket ends: 1006 for the page,
#   1001 for the server.
# Consequence: a server that takes pongs for presence shows people as present who left, for as long as the browser keeps the page.
#   Only an answer of the page's script shows that somebody is there; and a page does best to close its socket in `pagehide`.
#
# Needs a chromium (or chromium-browser, google-chrome) on the PATH. Ends with 0 while this is so, and with 1 when it is not any more.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q websockets==15.0.1
cat >scene.py <<'EOS'
import asyncio, contextlib, json, logging, pathlib, shutil, sys, urllib.request

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Response

logging.disable()  # the browser opens connections ahead, which the library takes for failed handshakes

FIRST = """<!doctype html><title>first</title><script>
const socket = new WebSocket(`ws://${location.host}/socket`);
window.seen = [];
socket.onmessage = () => socket.send("answer");
socket.onclose = ({ code }) => seen.push(`closed ${code}`);
addEventListener("pageshow", ({ persisted }) => seen.push(persisted ? "restored" : "loaded"));
</script>"""
SECOND = "<!doctype html><title>second</title>"


def page(connection, request):
    if request.path == "/socket":
        return None
    body = (FIRST if request.path == "/first" else SECOND).encode()
    headers = Headers({"Content-Type": "text/html", "Content-Length": str(len(body)), "Connection": "close"})
    return Response(200, "OK", headers, body)


class Browser:
    def __init__(self, socket):
        self.socket, self.number = socket, 0

    async def call(self, method, **params):
        self.number += 1
        await self.socket.send(json.dumps({"id": self.number, "method": method, "params": params}))
        while True:
            message = json.loads(await asyncio.wait_for(self.socket.recv(), 60))
            if message.get("id") == self.number:
                return message["result"]

    async def value(self, expression):
        result = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return result["result"].get("value")

    async def until(self, expression):
        for _ in range(600):
            if value := await self.value(expression):
                return value
            await asyncio.sleep(0.1)
        raise SystemExit(f"never true: {expression}")


async def answered(socket, answers, what):
    """Whether what is sent now is answered within 3 s."""
    try:
        async with asyncio.timeout(3):
            if what == "ping":
                await (await socket.ping())
            else:
                await socket.send("question")
                await answers.get()
        return True
    except TimeoutError:
        return False


async def main():
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if binary is None:
        raise SystemExit("no chromium on the PATH")
    sockets, answers = asyncio.Queue(), asyncio.Queue()

    async def handle(socket):
        await sockets.put(socket)
        with contextlib.suppress(ConnectionClosed):
            async for message in socket:
                await answers.put(message)

    async with serve(handle, "127.0.0.1", 0, process_request=page, ping_interval=None) as server:
        base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--user-data-dir=profile"]
        browser = await asyncio.create_subprocess_exec(
            binary, *options, "about:blank", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            told = pathlib.Path("profile/DevToolsActivePort")
            while not (told.exists() and "\n" in told.read_text()):
                await asyncio.sleep(0.1)
            port = told.read_text().splitlines()[0]
            request = urllib.request.Request(f"http://127.0.0.1:{port}/json/new?{base}/first", method="PUT")
            target = json.load(await asyncio.to_thread(urllib.request.urlopen, request))
            async with connect(target["webSocketDebuggerUrl"], max_size=None) as debugger:
                return await play(Browser(debugger), base, sockets, answers)
        finally:
            browser.terminate()
            await browser.wait()


async def play(browser, base, sockets, answers):
    socket = await asyncio.wait_for(sockets.get(), 60)
    await browser.until("window.seen?.includes('loaded')")
    there = [await answered(socket, answers, what) for what in ("ping", "message")]
    # As a link does; the page is entitled to be kept.
    await browser.call("Page.navigate", url=f"{base}/second")
    await browser.until("document.title == 'second'")
    left = [await answered(socket, answers, what) for what in ("ping", "message")]
    await browser.value("history.back()")
    seen = await browser.until("window.seen?.includes('restored') && window.seen.some((each) => each.startsWith('closed')) && window.seen")
    await asyncio.wait_for(socket.wait_closed(), 10)
    print(f"there: ping and message answered {there}; left: {left}; after the return {seen}, the server saw {socket.close_code}")
    return there == [True, True] and left == [True, False] and "closed 1006" in seen and socket.close_code == 1001


sys.exit(0 if asyncio.run(main()) else 1)
EOS
venv/bin/python scene.py
