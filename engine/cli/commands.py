"""What each command does, but for serving: which configuration it reads, and which module goes on with it.

Those modules are imported where they are needed, so that no command waits for another's. No logic lives here.
"""

from __future__ import annotations

import argparse
import os
import sys

from engine.cli.given import config_and_apps, given, loaded, named


def trigger(args: argparse.Namespace) -> int:
    from engine.cli.target import api_target, choose_app
    from engine.cli.trigger import trigger

    config, apps = config_and_apps(args)
    data = sys.stdin.read() if args.data == "-" else args.data
    return trigger(choose_app(apps, args.app), api_target(config, args.url), args.channel, args.event, data)


def listen(args: argparse.Namespace) -> int:
    from engine.cli.listen import listen
    from engine.cli.target import choose_app, ws_url

    config, apps = config_and_apps(args)
    return listen(choose_app(apps, args.app), ws_url(config, args.url), args.channels, args.user_id)


def doctor(args: argparse.Namespace) -> int:
    from engine.cli.doctor import examine
    from engine.cli.known_apps import known_apps
    from engine.config.addresses import BACKLOG

    found = loaded(args)
    return examine(
        found, known_apps(found.config), args.app, args.url, idle=args.idle, as_json=args.json, backlog=BACKLOG
    )


def apps(args: argparse.Namespace) -> int:
    from engine.cli.apps import show_apps

    return show_apps(config_and_apps(args)[1])


def edit_apps(args: argparse.Namespace) -> int:
    from engine.cli import edit_apps

    config = loaded(args).config
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


def failed(args: argparse.Namespace) -> int:
    from engine.cli.webhooks import show_failed

    return show_failed(*config_and_apps(args), args.limit, as_json=args.json)


def retry(args: argparse.Namespace) -> int:
    from engine.cli.webhooks import retry

    if bool(args.ids) == args.all:
        args.misuse("name dead letters, or all of them by --all")
    return retry(config_and_apps(args)[0], args.ids, every=args.all)


def purge(args: argparse.Namespace) -> int:
    from engine.cli.webhooks import purge

    return purge(config_and_apps(args)[0])


def test(args: argparse.Namespace) -> int:
    from engine.cli.target import choose_app
    from engine.cli.webhooks import try_out

    config, apps = config_and_apps(args)
    return try_out(config, choose_app(apps, args.app))


def run_command(args: argparse.Namespace) -> int:
    from engine.cli.running import send_command

    words = [args.command, *([str(args.percent)] if args.command == "rebalance" else [])]
    return send_command(loaded(args).config, words)


def trace(args: argparse.Namespace) -> int:
    from engine.cli.trace import trace
    from engine.trace.follow import Follow

    follow = Follow(args.channel, args.socket, args.user, args.event, args.app, args.seconds)
    return trace(loaded(args).config, follow, as_json=args.json)


def capacity(args: argparse.Namespace) -> int:
    from engine.cli.capacity import answer

    return answer(vars(args), as_json=args.json)


def licenses(args: argparse.Namespace) -> int:
    from engine.cli.licenses import show_licenses

    return show_licenses()


def check(args: argparse.Namespace) -> int:
    from engine.cli.config import check_config

    return check_config(loaded(args))


def show(args: argparse.Namespace) -> int:
    from engine.cli.config import show_config

    path, flags = given(args)
    return show_config(path, os.environ, args.workers, flags, as_json=args.json)


def reference(args: argparse.Namespace) -> int:
    from engine.cli.reference import print_reference

    return print_reference()


def schema(args: argparse.Namespace) -> int:
    from engine.cli.reference import print_schema

    return print_schema()


def convert(args: argparse.Namespace) -> int:
    from engine.cli.config import convert_config

    return convert_config(named(args), os.environ, args.output)
