"""The words of the command line: every command, its options and their help.

It reads words and runs nothing; what a command does is named in `commands.py`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.cli import commands as does
from engine.cli.numbers import add_amounts, count, percent, port, seconds
from engine.cli.text import say
from engine.machine.cpus import usable_cpus


def parser(serve: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    """Whoever parses finds in `run` what is to be done. :param serve: what is done without a command."""
    parser = _AnyOrder(
        prog="python -m engine",
        description="A realtime server for Pusher clients. Without a command it serves.",
        epilog="Environment variables (PORT, REDIS_URL, …) win over the file, and options given here over both.",
    )
    parser.set_defaults(run=serve)
    parser.add_argument("--version", action=_Version, nargs=0, help="say which version this is")
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="configuration file: JSON, TOML or YAML, by its ending (default: config.json, .toml, .yaml, .yml, if any)",
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        type=_workers,
        default=1,
        help="worker processes; auto: one for each processor that a container or the machine has (default: 1)",
    )
    parser.add_argument("--host", metavar="H", help="address to listen on")
    parser.add_argument("--port", metavar="P", type=port, help="port for WebSocket and HTTP")
    parser.add_argument("--debug", action="store_true", help="write a detailed log")

    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    trigger = _command(commands, "trigger", does.trigger, "publish an event", url=True)
    trigger.add_argument("channel")
    trigger.add_argument("event")
    trigger.add_argument("data", help="what subscribers get, sent as it is; - reads it from standard input")
    listen = _command(commands, "listen", does.listen, "print the events of channels until Ctrl-C", url=True)
    listen.add_argument("channels", metavar="channel", nargs="+")
    listen.add_argument("--user-id", metavar="U", default="cli", help="who to be in presence channels (default: cli)")
    _add_apps(_command(commands, "apps", does.apps, "list the applications, or edit those of a SQLite file", url=False))
    _add_webhooks(
        _command(commands, "webhooks", does.failed, "operate the webhooks: dead letters, test requests", url=False)
    )
    licenses = commands.add_parser("licenses", help="list the libraries that it uses, with their licenses")
    licenses.set_defaults(run=does.licenses)
    _add_config_actions(
        _command(
            commands,
            "config",
            does.check,
            "check or show a configuration, list all options, or convert one of soketi",
            url=False,
        )
    )
    doctor = _command(
        commands,
        "doctor",
        does.doctor,
        "look for what keeps clients and webhooks from working, with remedies",
        url=True,
    )
    _add_file(doctor)
    doctor.add_argument("--idle", action="store_true", help="also wait whether something cuts silent connections")
    doctor.add_argument("--json", action="store_true", help="one JSON object a line, for scripts")
    text = "say how many nodes a load takes, and what is full first"
    capacity = commands.add_parser("capacity", help=text, description=f"{text[0].upper()}{text[1:]}.")
    add_amounts(capacity)
    capacity.set_defaults(run=does.capacity)
    _command(
        commands,
        "restart",
        does.run_command,
        "replace the running engine by what is installed now, in place",
        url=False,
    )
    _add_trace(
        _command(
            commands, "trace", does.trace, "show what the running engine does with an event or a client", url=False
        )
    )
    rebalance = _command(commands, "rebalance", does.run_command, "send some of its clients to other nodes", url=False)
    rebalance.add_argument("--percent", metavar="N", type=percent, required=True, help="so many of its clients")
    return parser


class _Version(argparse.Action):
    """Looked up only for `--version`: it takes a while."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib import metadata

        try:
            say(f"engine {metadata.version('engine')}")
        except metadata.PackageNotFoundError:
            say("engine, from its source and not installed")
        parser.exit()


class _AnyOrder(argparse.ArgumentParser):
    """Its words and its options may come in any order, as `add shop --key k max_connections=5`."""

    _mixing = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        # One with actions leaves that to them. Behind a -- all are words, which argparse knows in its own order only.
        if self._mixing or self._subparsers is not None or "--" in (args or ()):
            return super().parse_known_args(args, namespace)
        self._mixing = True
        try:
            # It asks this method again, for the options and then for the words.
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixing = False


def _add_config_actions(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="say OK, or name every mistake")
    check.set_defaults(run=does.check)
    _add_file(check)
    show = actions.add_parser("show", help="print each value that is in force, and where it comes from")
    show.set_defaults(run=does.show)
    _add_file(show)
    show.add_argument("--json", action="store_true", help="one JSON object a line, for scripts")
    actions.add_parser("reference", help="list every option, as a page in Markdown").set_defaults(run=does.reference)
    actions.add_parser("schema", help="print a JSON Schema of the file, for editors").set_defaults(run=does.schema)
    convert = actions.add_parser("convert", help="turn soketi's JSON and its SOKETI_… variables into ours")
    convert.set_defaults(run=does.convert)
    _add_file(convert, "soketi's JSON (default: variables alone)")
    convert.add_argument("-o", "--output", metavar="FILE", type=Path, help="where to (default: standard output)")
    for action in (check, show, convert):
        _add_config(action)


def _add_apps(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(title="actions, for app_manager.driver sqlite", metavar="ACTION")
    options = "an option of it, such as max_connections=100 or enable_client_messages=true; null is its default"
    add = actions.add_parser("add", help="add an application, with a new key and secret where none is given")
    add.add_argument("app", metavar="ID")
    add.add_argument("options", metavar="OPTION=VALUE", nargs="*", default=[], help=options)
    add.add_argument("--key", metavar="KEY")
    add.add_argument("--secret", metavar="SECRET")
    change = actions.add_parser("set", help="change options of an application")
    change.add_argument("app", metavar="ID")
    change.add_argument("options", metavar="OPTION=VALUE", nargs="+", help=options)
    rotate = actions.add_parser("rotate", help="give an application a new secret, beside its present one")
    rotate.add_argument("app", metavar="ID")
    rotate.add_argument("--finish", action="store_true", help="take the previous secret away")
    for name, words in (
        ("enable", "let its clients and requests in again"),
        ("disable", "send its clients and requests away"),
        ("remove", "remove an application"),
    ):
        actions.add_parser(name, help=words).add_argument("app", metavar="ID")
    for name, action in actions.choices.items():
        action.set_defaults(run=does.edit_apps, action=name)
        _add_config(action)


def _add_webhooks(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True)
    failed = actions.add_parser("failed", help="list dead letters, newest first, with what went wrong")
    failed.set_defaults(run=does.failed)
    failed.add_argument("--limit", metavar="N", type=count, default=20, help="at most so many (default: 20)")
    failed.add_argument("--json", action="store_true", help="one JSON object a line, for scripts")
    retry = actions.add_parser("retry", help="send dead letters again")
    retry.set_defaults(run=does.retry)
    retry.add_argument("ids", metavar="ID", nargs="*", default=[])
    retry.add_argument("--all", action="store_true", help="every one of them")
    retry.set_defaults(misuse=retry.error)
    actions.add_parser("purge", help="forget all dead letters").set_defaults(run=does.purge)
    test = actions.add_parser("test", help="send a signed test event to each webhook of an application")
    test.set_defaults(run=does.test)
    test.add_argument("--app", metavar="ID", help="application (default: the first of the configuration)")
    for action in actions.choices.values():
        _add_config(action)


def _add_trace(command: argparse.ArgumentParser) -> None:
    command.add_argument("--channel", metavar="NAME", default="", help="what is published to it, and its subscribers")
    command.add_argument("--socket", metavar="ID", default="", help="a client's socket id")
    command.add_argument("--user", metavar="ID", default="", help="a user, as a member or signed in")
    command.add_argument("--event", metavar="NAME", default="", help="every publish of events of that name")
    command.add_argument("--app", metavar="ID", default="", help="of this application only; alone: all that it does")
    command.add_argument("--seconds", metavar="N", type=seconds, default=60, help="for so long (default: 60)")
    command.add_argument("--json", action="store_true", help="one JSON object a line, for scripts")


def _command(
    commands: argparse._SubParsersAction[_AnyOrder],
    name: str,
    run: Callable[[argparse.Namespace], int],
    text: str,
    *,
    url: bool,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    command.set_defaults(run=run, command=name)
    _add_config(command)
    if url:
        command.add_argument("--app", metavar="ID", help="application (default: the first of the configuration)")
        command.add_argument("--url", metavar="URL", help="server (default: host and port of the configuration)")
    return command


def _add_config(command: argparse.ArgumentParser) -> None:
    # A suppressed default: an absent option must not undo the same option in front of the command.
    command.add_argument(
        "--config", metavar="FILE", type=Path, default=argparse.SUPPRESS, help="the server's configuration"
    )


def _add_file(command: argparse.ArgumentParser, text: str = "the same, without the word") -> None:
    command.add_argument("file", metavar="FILE", type=Path, nargs="?", help=text)


def _workers(text: str) -> int:
    return usable_cpus() if text == "auto" else count(text)
