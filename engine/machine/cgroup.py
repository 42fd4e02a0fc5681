"""The control groups that this process is in, version 2 and 1: what a container may use, and what it does use.

It only reads files, and takes whatever it cannot read for "no limit".
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc/self/cgroup")
MOUNT = Path("/sys/fs/cgroup")


def groups(controller: str, proc: Path = PROC, mount: Path = MOUNT) -> Iterator[Path]:
    """The folders of the groups that bound this process for one controller, from its own one outwards.

    Within a container the path is often that of the host, which is not there: then the container's own group is the
    mount itself.

    :param controller: as version 1 calls it: "memory" or "cpu".
    """
    for line in _text(proc).splitlines():
        parts = line.split(":", 2)
        if len(parts) != 3:
            continue
        _, controllers, path = parts
        if controllers == "":
            root = mount
            if not (root / "cgroup.controllers").exists():
                # Version 2 without controllers beside version 1; systemd mounts it there.
                root = mount / "unified"
        elif controller in controllers.split(","):
            root = mount / controller
            if not root.exists():
                root = mount / controllers
        else:
            continue
        group = root / path.strip("/")
        while group != root:
            if group.exists():
                yield group
            group = group.parent
        if root.exists():
            yield root


def number(path: Path) -> int | None:
    """What stands in a file of one number; None where there is none, such as `max`."""
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def numbers(path: Path) -> dict[str, int]:
    """A file of lines such as `inactive_file 4096`."""
    found = {}
    for line in _text(path).splitlines():
        name, _, text = line.partition(" ")
        if text.strip().isdigit():
            found[name] = int(text)
    return found


def words(path: Path) -> list[str]:
    return _text(path).split()


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return ""
