"""The command line: `python -m engine` serves; `trigger`, `listen`, `apps` and `config` help. No logic lives here."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.machine.collector import resting

with resting():
    from engine.app import App
    from engine.cli.numbers import add_amounts, count, percent, port, seconds
    from engine.cli.text import complain, nobody_reads, say
    from engine.config.loading.load import Loaded, load
    from engine.config.root import Config
    from engine.config.soketi.convert import stand_in
    from engine.errors import ConfigError
    from engine.machine.cpus import usable_cpus

EXIT_MISUSE = 2
#: The first of them that there is.
DEFAULT_CONFIGS = tuple(Path(f"config.{ending}") for ending in ("json", "toml", "yaml", "yml"))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. What is wrong with a configuration is printed in plain lines."""
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args))
    except ConfigError as error:
        for line in str(error).splitlines():
            complain(f"engine: {line}")
        return EXIT_MISUSE
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        if not nobody_reads():
            raise
        return 141


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m engine",
        description="A realtime server for Pusher clients. Without a command it serves.",
        epilog="Environment variables (PORT, REDIS_URL, …) win over the file, and options given here over both.",
    )
    parser.set_defaults(run=_serve)
    parser.add_argument("--version", action=_Version, nargs=0, help="say which version this is")
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="configuration file: JSON, TOML or YAML, by its ending (default: config.json, if any)",
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
    trigger = _command(commands, "trigger", _trigger, "publish an event", url=True)
    trigger.add_argument("channel")
    trigger.add_argument("event")
    trigger.add_argument("data", help="what subscribers get, sent as it is; - reads it from standard input")
    listen = _command(commands, "listen", _listen, "print the events of channels until Ctrl-C", url=True)
    listen.add_argument("channels", metavar="channel", nargs="+")
    listen.add_argument("--user-id", metavar="U", default="cli", help="who to be in presence channels (default: cli)")
    _add_apps(_command(commands, "apps", _apps, "list the applications, or edit those of a SQLite file", url=False))
    _add_webhooks(
        _command(commands, "webhooks", _failed, "operate the webhooks: dead letters, test requests", url=False)
    )
    licenses = commands.add_parser("licenses", help="list the libraries that it uses, with their licenses")
    licenses.set_defaults(run=_licenses)
    config = _command(
        commands,
        "config",
        _check,
        "check or show a configuration, list all options, or convert one of soketi",
        url=False,
    )
    actions = config.add_subparsers(title="actions", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="say OK, or name every mistake")
    check.set_defaults(run=_check)
    check.add_argument("file", metavar="FILE", type=Path)
    show = actions.add_parser("show", help="print each value that is in force, and where it comes from")
    show.set_defaults(run=_show)
    _add_config(show)
    show.add_argument("--json", action="store_true", help="one JSON object a line, for scripts")
    actions.add_parser("reference", help="list every option, as a page in Markdown").set_defaults(run=_reference)
    actions.add_parser("schema", help="print a JSON Schema of the file, for editors").set_defaults(run=_schema)
    convert = actions.add_parser("convert", help="turn soketi's JSON and its SOKETI_… variables into ours")
    convert.set_defaults(run=_convert)
    convert.add_argument("file", metavar="FILE", type=Path, nargs="?", help="soketi's JSON (default: variables alone)")
    convert.add_argument("-o", "--output", metavar="FILE", type=Path, help="where to (default: standard output)")
    doctor = _command(
        commands, "doctor", _doctor, "look for what keeps clients and webhooks from working, with remedies", url=True
    )
    doctor.add_argument("--idle", action="store_true", help="also wait whether something cuts silent connections")
    doctor.add_argument("--json", action="store_true", help="one JSON object a line, for scripts")
    text = "say how many nodes a load takes, and what is full first"
    capacity = commands.add_parser("capacity", help=text, description=f"{text[0].upper()}{text[1:]}.")
    add_amounts(capacity)
    capacity.set_defaults(run=_capacity)
    _command(
        commands, "restart", _run_command, "replace the running engine by what is installed now, in place", url=False
    )
    _add_trace(
        _command(commands, "trace", _trace, "show what the running engine does with an event or a client", url=False)
    )
    rebalance = _command(commands, "rebalance", _run_command, "send some of its clients to other nodes", url=False)
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


def _add_apps(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(title="actions, for app_manager.driver sqlite", metavar="ACTION")
    options = "an option of it, such as max_connections=100 or enable_client_messages=true; null is its default"
    add = actions.add_parser("add", help="add an application, with a new key and secret where none is given")
    add.add_argument("app", metavar="ID")
    add.add_argument("options", metavar="OPTION=VALUE", nargs="*", help=options)
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
        action.set_defaults(run=_edit_apps, action=name)
        _add_config(action)


def _add_webhooks(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True)
    failed = actions.add_parser("failed", help="list dead letters, newest first, with what went wrong")
    failed.set_defaults(run=_failed)
    failed.add_argument("--limit", metavar="N", type=count, default=20, help="at most so many (default: 20)")
    failed.add_argument("--json", action="store_true", help="one JSON object a line, for scripts")
    retry = actions.add_parser("retry", help="send dead letters again")
    retry.set_defaults(run=_retry)
    which = retry.add_mutually_exclusive_group(required=True)
    which.add_argument("ids", metavar="ID", nargs="*", default=[])
    which.add_argument("--all", action="store_true", help="every one of them")
    actions.add_parser("purge", help="forget all dead letters").set_defaults(run=_purge)
    test = actions.add_parser("test", help="send a signed test event to each webhook of an application")
    test.set_defaults(run=_test)
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
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
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


def _serve(args: argparse.Namespace) -> int:
    from engine.supervisor.terminal import Terminal

    path = args.config if args.config != DEFAULT_CONFIGS[0] else None
    terminal = Terminal({"--config": path, "--host": args.host, "--port": args.port})
    # Before the file is read: a SIGHUP that comes too early must not end what has not begun.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with resting():
        loaded = _load(args)
        from engine.supervisor.handover import is_left, tried

        if tried(loaded, args.workers):
            return 0
        from engine.supervisor.sockets import open_ports

        ports = None if is_left() else open_ports(loaded.config, args.workers)
        from engine.supervisor.fork_server_process import ForkServer
        from engine.supervisor.supervisor import Supervisor

        forks = ForkServer.of(loaded.resolved)
    with forks:
        return Supervisor(loaded, args.workers, lambda: _load(args), forks, ports, terminal).run()


def _trigger(args: argparse.Namespace) -> int:
    from engine.cli.target import api_target, choose_app
    from engine.cli.trigger import trigger

    config, apps = _config_and_apps(args)
    data = sys.stdin.read() if args.data == "-" else args.data
    return trigger(choose_app(apps, args.app), api_target(config, args.url), args.channel, args.event, data)


def _listen(args: argparse.Namespace) -> int:
    from engine.cli.listen import listen
    from engine.cli.target import choose_app, ws_url

    config, apps = _config_and_apps(args)
    return listen(choose_app(apps, args.app), ws_url(config, args.url), args.channels, args.user_id)


def _doctor(args: argparse.Namespace) -> int:
    from engine.cli.doctor import examine
    from engine.cli.known_apps import known_apps
    from engine.control import BACKLOG

    loaded = _load(args)
    apps = known_apps(loaded.config)
    return examine(loaded, apps, args.app, args.url, idle=args.idle, as_json=args.json, backlog=BACKLOG)


def _apps(args: argparse.Namespace) -> int:
    from engine.cli.apps import show_apps

    return show_apps(_config_and_apps(args)[1])


def _edit_apps(args: argparse.Namespace) -> int:
    from engine.cli import edit_apps

    config = _load(args).config
    match args.action:
        case "add":
            return edit_apps.add(config, args.app, args.key, args.secret, args.options)
        case "set":
            return edit_apps.set_options(config, args.app, args.options)
        case "rotate":
            return edit_apps.rotate(config, args.app, finish=args.finish)
        case "remove":
            return edit_apps.remove(config, args.app)
        case _:
            return edit_apps.enable(config, args.app, enabled=args.action == "enable")


def _failed(args: argparse.Namespace) -> int:
    from engine.cli.webhooks import show_failed

    return show_failed(*_config_and_apps(args), args.limit, as_json=args.json)


def _retry(args: argparse.Namespace) -> int:
    from engine.cli.webhooks import retry

    return retry(_config_and_apps(args)[0], args.ids, every=args.all)


def _purge(args: argparse.Namespace) -> int:
    from engine.cli.webhooks import purge

    return purge(_config_and_apps(args)[0])


def _test(args: argparse.Namespace) -> int:
    from engine.cli.target import choose_app
    from engine.cli.webhooks import try_out

    config, apps = _config_and_apps(args)
    return try_out(config, choose_app(apps, args.app))


def _run_command(args: argparse.Namespace) -> int:
    from engine.cli.running import send_command

    words = [args.command, *([str(args.percent)] if args.command == "rebalance" else [])]
    return send_command(_load(args).config, words)


def _trace(args: argparse.Namespace) -> int:
    from engine.cli.trace import trace
    from engine.trace.follow import Follow

    follow = Follow(args.channel, args.socket, args.user, args.event, args.app, args.seconds)
    return trace(_load(args).config, follow, as_json=args.json)


def _capacity(args: argparse.Namespace) -> int:
    from engine.cli.capacity import answer

    return answer(vars(args), as_json=args.json)


def _licenses(args: argparse.Namespace) -> int:
    from engine.cli.licenses import show_licenses

    return show_licenses()


def _check(args: argparse.Namespace) -> int:
    from engine.cli.config import check_config

    return check_config(args.file, os.environ, args.workers)


def _show(args: argparse.Namespace) -> int:
    from engine.cli.config import show_config

    path, flags = _given(args)
    return show_config(path, os.environ, args.workers, flags, as_json=args.json)


def _reference(args: argparse.Namespace) -> int:
    from engine.cli.reference import print_reference

    return print_reference()


def _schema(args: argparse.Namespace) -> int:
    from engine.cli.reference import print_schema

    return print_schema()


def _convert(args: argparse.Namespace) -> int:
    from engine.cli.config import convert_config

    return convert_config(args.file, os.environ, args.output)


def _config_and_apps(args: argparse.Namespace) -> tuple[Config, Sequence[App]]:
    from engine.cli.known_apps import known_apps

    config = _load(args).config
    return config, known_apps(config)


def _load(args: argparse.Namespace) -> Loaded:
    path, flags = _given(args)
    return load(path, os.environ, args.workers, flags, stand_in(path, os.environ))


def _given(args: argparse.Namespace) -> tuple[Path | None, dict[str, object]]:
    """The configuration's file, if any, from then on the same; and what the command line says of its options."""
    flags = {"host": args.host, "port": args.port, "debug": args.debug or None}
    args.config = args.config or next(filter(Path.exists, DEFAULT_CONFIGS), None)
    return args.config, {name: value for name, value in flags.items() if value is not None}


def _workers(text: str) -> int:
    return usable_cpus() if text == "auto" else count(text)


if __name__ == "__main__":
    sys.exit(main())
