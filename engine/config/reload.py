"""What a configuration that is read again may change in an engine that serves, and what has to wait for a restart.

Pure: it reads no file and changes no worker.
"""

from __future__ import annotations

from typing import Any

from engine.config.option_path import Path, dotted
from engine.config.root import Config
from engine.config.server import ConsoleConfig


def applicable(running: Config, new: Config) -> Config:
    """The running configuration with what can be changed while it serves: the applications, the server-wide values that
    apply to those that have none of their own, and the certificate."""
    webhooks = {name: getattr(new.webhooks, name) for name in ("signature_format", "request_timeout_ms", "retry")}
    pair = {name: getattr(new.ssl, name) for name in ("cert_path", "key_path", "passphrase")}
    changed: dict[str, Any] = {
        "user_authentication_timeout": new.user_authentication_timeout,
        "channel_limits": new.channel_limits,
        "event_limits": new.event_limits,
        "presence": new.presence,
        "ssl": running.ssl.model_copy(update=pair if running.ssl.enabled and new.ssl.enabled else {}),
        "webhooks": running.webhooks.model_copy(update=webhooks),
        "console": _console(running.console, new.console),
    }
    if new.app_manager.driver == running.app_manager.driver:
        changed["app_manager"] = running.app_manager.model_copy(update={"array": new.app_manager.array})
    return running.model_copy(update=changed)


def _console(running: ConsoleConfig, new: ConsoleConfig) -> ConsoleConfig:
    """Whether there is one is a matter of the start."""
    there = running.password is not None and new.password is not None
    return running.model_copy(update={"password": new.password} if there else {})


def waits_for_restart(running: Config, new: Config) -> list[str]:
    """Options of `new` that `running`, which follows it, does not have; without their values."""
    found: list[str] = []
    _compare(running.model_dump(by_alias=True), new.model_dump(by_alias=True), (), found)
    return found


def _compare(running: Any, new: Any, path: Path, found: list[str]) -> None:
    if isinstance(running, dict) and isinstance(new, dict) and running.keys() == new.keys():
        for key in running:
            _compare(running[key], new[key], (*path, key), found)
    elif running != new:
        found.append(dotted(path))
