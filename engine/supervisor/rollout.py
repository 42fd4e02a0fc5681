"""The specification that workers follow: the first one, and each newer one that SIGHUP brings.

What is wrong with a configuration that was read again is logged, and changes nothing.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from collections.abc import Callable, Sequence

from engine.app_manager import AppManager
from engine.apps.build import build_apps
from engine.config.certificate import Certificate
from engine.config.loading.known_secrets import MAKE_ONE, exposes
from engine.config.loading.load import Loaded
from engine.config.reload import applicable, waits_for_restart
from engine.config.root import Config
from engine.control import WorkerSpec, seal
from engine.errors import ConfigError
from engine.metrics.metrics import Metrics
from engine.supervisor.worker_process import WorkerProcess

_log = logging.getLogger(__name__)


class ConfigRollout:
    """:ivar newest: what a worker that is started now is given. :ivar number: it grows with each newer one."""

    def __init__(self, first: WorkerSpec, metrics: Metrics, number: int = 1) -> None:
        self.newest = first
        self._metrics = metrics.supervisor
        self.number = number
        self._read_at = 0.0
        #: The newest as a file for workers that run already; -1 when all of them follow it.
        self._fd = -1
        #: Those of the newest, once they were needed to compare another one with them.
        self._apps: AppManager | None = None
        if first.loaded.certificate is not None:
            self._show_expiry(first.loaded.certificate)

    def read_again(self, load: Callable[[], Loaded], workers: Sequence[WorkerProcess | None]) -> None:
        """Have all workers follow the configuration as it is now, where they can; and log what that is."""
        self._read_at = time.monotonic()
        try:
            loaded = load()
            running = self.newest.loaded.config
            if exposes(loaded.config, running.host):
                raise ConfigError(
                    f"an application has a secret that everybody knows, and this engine listens on {running.host}; it"
                    f" needs another one, or a restart: {MAKE_ONE}"
                )
        except ConfigError as error:
            _log.error("the configuration was read again and cannot be used; nothing has changed")
            for line in str(error).splitlines():
                _log.error("%s", line)
            self._metrics.reloads.add(1, "refused")
            return
        config = applicable(running, loaded.config)
        self.close()
        self.newest = dataclasses.replace(self.newest, loaded=self._followed(config, loaded.certificate))
        self.number += 1
        self._fd = seal(self.newest)
        # What is to be logged takes as long again with thousands of applications; the workers do not wait for it.
        self._send(workers)
        self._metrics.reloads.add(1, "followed")
        for line in loaded.warnings:
            _log.warning("%s", line)
        if waiting := waits_for_restart(config, loaded.config):
            _log.warning("changed, but not before a restart: %s", ", ".join(waiting))
        if not config.app_manager.from_file:
            _log.info("the configuration was read again; the applications are read from the database")
            return
        if self._apps is None:
            self._apps = AppManager(build_apps(running))
        _log.info("the configuration was read again; applications: %s", self._apps.replace(build_apps(config)))

    def _followed(self, config: Config, certificate: Certificate | None) -> Loaded:
        """What runs, with this configuration; the certificate is the one that the files hold now."""
        running = self.newest.loaded
        if running.certificate is None or certificate is None:
            # TLS is switched on or off by a restart only.
            certificate = running.certificate
        elif certificate != running.certificate:
            _log.info("new connections are shown the certificate as it is now in %s", config.ssl.cert_path)
            self._show_expiry(certificate)
        return dataclasses.replace(running, config=config, certificate=certificate)

    def _show_expiry(self, certificate: Certificate) -> None:
        if (expires_at := certificate.expires_at()) is not None:
            self._metrics.certificate_expiry.set(expires_at)

    def hand_out(self, workers: Sequence[WorkerProcess | None]) -> None:
        """Send the newest to each worker that has not got it; to be called until all have applied it."""
        if self._fd < 0:
            return
        self._send(workers)
        if all(worker is not None and worker.spec == self.number for worker in workers):
            took_ms = (time.monotonic() - self._read_at) * 1000
            _log.info("every worker follows it, after %.0f ms", took_ms)
            self.close()

    def _send(self, workers: Sequence[WorkerProcess | None]) -> None:
        for worker in workers:
            if worker is not None:
                worker.send_spec(self.number, self._fd)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
