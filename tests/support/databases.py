"""Real PostgreSQL and MariaDB servers on 127.0.0.1, each in a folder of its own and by a user without rights.

Started by the fixtures `postgres` and `mariadb`, and by tests that need a server of their own, which they may stop and
start again. Where a server is not installed, the test is skipped and says so.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import free_port, wait_until

START_TIMEOUT_S = 60.0
PASSWORD = "db-password-that-no-log-may-show"
#: With its key; valid for 127.0.0.1 and trusted by nobody but who is told to.
CERTIFICATE = Path(__file__).resolve().parent / "self_signed.pem"
#: PostgreSQL refuses to run as root.
ACCOUNT = "nobody" if os.geteuid() == 0 else None
#: Where Debian keeps what it does not put on the path.
_ELSEWHERE = "/usr/sbin:" + ":".join(str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin")))


class DatabaseServer:
    """One server process with a database and a user ``engine``. Its port stays the same over `stop()` and `start()`.

    :param tls: whether it offers TLS, with CERTIFICATE.
    """

    driver: str
    programs: tuple[str, ...]

    def __init__(self, tls: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="db-"))
        self.data = self.folder / "data"
        self.port = free_port()
        self._tls = tls
        self._process: subprocess.Popen[bytes] | None = None
        self._prepared = False

    def config(self, **changes: Any) -> dict[str, Any]:
        """The section `database.<driver>` with which the engine reaches it."""
        reach = {"host": "127.0.0.1", "port": self.port, "username": "engine", "password": PASSWORD}
        return reach | {"database": "engine"} | changes

    def execute(self, *statements: str) -> None:
        """Run them, one after the other, as the user ``engine``."""
        asyncio.run(self.run(*statements))

    async def run(self, *statements: str) -> None:
        """The same inside an event loop."""
        raise NotImplementedError

    def create(self) -> None:
        raise NotImplementedError

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    async def prepare(self) -> None:
        """Make database and user; called until it succeeds once."""
        raise NotImplementedError

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(part) for part in self.command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self._environment(),
                **_account(),
            )
        wait_until(self._answers, START_TIMEOUT_S, f"{self.driver} answers")

    def stop(self) -> None:
        """End the process at once, without waiting for clients."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGQUIT if self.driver == "postgres" else signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """Stop the process where it is (SIGSTOP), as a machine that hangs would."""
        for pid in self._family():
            os.kill(pid, signal.SIGSTOP)
            wait_until(lambda pid=pid: _stands_still(pid), what=f"process {pid} stands still")  # type: ignore[misc]

    def resume(self) -> None:
        for pid in self._family():
            os.kill(pid, signal.SIGCONT)

    def __enter__(self) -> DatabaseServer:
        try:
            if ACCOUNT is not None:
                shutil.chown(self.folder, ACCOUNT)
            certificate = self.folder / "server.pem"
            shutil.copy(CERTIFICATE, certificate)
            certificate.chmod(0o600)
            if ACCOUNT is not None:
                shutil.chown(certificate, ACCOUNT)
            self.create()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _environment(self) -> dict[str, str]:
        """MariaDB, as it starts, removes whatever it finds of temporary tables: another server's too, in one folder."""
        return os.environ | {"TMPDIR": str(self.folder)}

    def make(self, *command: object) -> None:
        """Run a program that prepares the data folder."""
        done = subprocess.run(
            [str(part) for part in command],
            check=False,
            capture_output=True,
            cwd=self.folder,
            env=self._environment(),
            timeout=START_TIMEOUT_S,
            **_account(),
        )
        assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"{self.driver} ended at once: {(self.folder / 'log').read_text(errors='replace')}")
        try:
            asyncio.run(self.run("SELECT 1") if self._prepared else self.prepare())
        except Exception as error:
            if "Connect" in type(error).__name__ or isinstance(error, OSError) or _not_yet(error):
                return False
            raise
        self._prepared = True
        return True

    def _family(self) -> list[int]:
        assert self._process is not None
        main = self._process.pid
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        return [main, *map(int, children)]


class PostgresServer(DatabaseServer):
    driver = "postgres"
    programs = ("initdb", "postgres")

    def create(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self.make(
            program("initdb"), "-D", self.data, "-U", "engine", f"--pwfile={secret}", "--auth=scram-sha-256", "-E",
            "UTF8", "--locale=C", "--no-sync", "--no-instructions",
        )  # fmt: skip

    def command(self) -> Sequence[Any]:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
            "shared_buffers": "8MB",
            "max_connections": 20,
            "autovacuum": "off",
            "ssl": "on" if self._tls else "off",
            "ssl_cert_file": self.folder / "server.pem",
            "ssl_key_file": self.folder / "server.pem",
        }
        return [
            program("postgres"),
            "-D",
            self.data,
            *(part for key, value in options.items() for part in ("-c", f"{key}={value}")),
        ]

    async def prepare(self) -> None:
        connection = await self._connect("postgres")
        try:
            await connection.execute("CREATE DATABASE engine")
        finally:
            await connection.close()

    async def run(self, *statements: str) -> None:
        connection = await self._connect("engine")
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def _connect(self, database: str) -> Any:
        import asyncpg

        return await asyncpg.connect(
            host="127.0.0.1", port=self.port, user="engine", password=PASSWORD, database=database, ssl=False, timeout=10
        )


class MariaDbServer(DatabaseServer):
    driver = "mysql"
    programs = ("mariadb-install-db", "mariadbd")

    def create(self) -> None:
        self.make(
            program("mariadb-install-db"), "--no-defaults", f"--datadir={self.data}", "--skip-test-db",
            "--auth-root-authentication-method=normal", "--skip-name-resolve", "--innodb-log-file-size=4M",
            "--innodb-buffer-pool-size=8M",
        )  # fmt: skip

    def command(self) -> Sequence[Any]:
        tls = (
            [f"--ssl-{part}={self.folder / 'server.pem'}" for part in ("cert", "key")] if self._tls else ["--skip-ssl"]
        )
        return [
            program("mariadbd"), "--no-defaults", f"--datadir={self.data}", f"--port={self.port}",
            "--bind-address=127.0.0.1", f"--socket={self.folder / 's'}", "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=8M", "--innodb-log-file-size=4M", "--skip-log-bin", "--skip-name-resolve",
            "--max-connections=20", "--performance-schema=OFF", *tls,
        ]  # fmt: skip

    async def prepare(self) -> None:
        connection = await self._connect("root", "", None)
        async with connection, connection.cursor() as cursor:
            await cursor.execute("CREATE DATABASE `engine`")
            await cursor.execute("CREATE USER 'engine'@'%%' IDENTIFIED BY %s", (PASSWORD,))
            await cursor.execute("GRANT ALL ON *.* TO 'engine'@'%' WITH GRANT OPTION")

    async def run(self, *statements: str) -> None:
        connection = await self._connect("engine", PASSWORD, "engine")
        async with connection, connection.cursor() as cursor:
            for statement in statements:
                await cursor.execute(statement)

    async def _connect(self, user: str, password: str, database: str | None) -> Any:
        import aiomysql

        return await aiomysql.connect(
            host="127.0.0.1", port=self.port, user=user, password=password, db=database, autocommit=True
        )


def program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=_ELSEWHERE)
    assert found is not None
    return found


@contextmanager
def database_server(kind: type[DatabaseServer], tls: bool = False) -> Iterator[DatabaseServer]:
    """A started server; the test is skipped where there is none."""
    missing = [name for name in kind.programs if not (shutil.which(name) or shutil.which(name, path=_ELSEWHERE))]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    with kind(tls) as server:
        yield server


def _stands_still(pid: int) -> bool:
    """All threads of it."""
    states = [path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) == {"T"}


def _account() -> dict[str, Any]:
    return {} if ACCOUNT is None else {"user": ACCOUNT, "group": "nogroup", "extra_groups": []}


def _not_yet(error: Exception) -> bool:
    """The server listens but is still starting."""
    return "starting up" in str(error) or "Can't connect" in str(error) or "Lost connection" in str(error)
