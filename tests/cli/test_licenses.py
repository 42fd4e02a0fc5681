"""The libraries that the engine uses are all listed, under terms that may be shipped with it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from engine.__main__ import main
from engine.cli.licenses import BUNDLED, libraries

PROJECT = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text())["project"]
#: Terms that ask for no more than to be named, and file-wise copyleft of parts that are used unchanged.
PERMISSIVE = re.compile(r"MIT|BSD|Apache|PSF|MPL-2|ISC|Dual License|Zlib|Unlicense|0BSD")


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_library_is_listed_under_terms_that_are_fine() -> None:
    found = {_plain(library.name): library for library in libraries()}
    direct = [*PROJECT["dependencies"], *(line for extra in ("aws", "mysql", "postgres") for line in _extra(extra))]
    for requirement in direct:
        name = re.match(r"[\w.-]+", requirement)
        assert name and _plain(name[0]) in found, requirement
    wrong = [library for library in found.values() if not PERMISSIVE.search(library.license)]
    assert not wrong
    assert not any("GPL" in library.license for library in found.values())


def test_what_packages_bundle_stands_behind_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["licenses"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for outer, inner, terms in BUNDLED:
        (at,) = (number for number, line in enumerate(lines) if line.strip().startswith(inner) and line[0] == " ")
        before = next(line for line in reversed(lines[:at]) if line[0] != " ")
        assert _plain(before.split()[0]) == _plain(outer)
        assert lines[at].endswith(terms)


def _extra(name: str) -> list[str]:
    return list(PROJECT["optional-dependencies"][name])
