"""What the pages in docs/ name exists: rules of the conformance table, options, files; and pip is given a path.

The names of files in the comments of the engine are held to the same.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.config.apps import AppConfig
from engine.config.base import Section
from engine.config.loading.validation_errors import _section_in
from engine.config.root import Config
from engine.config.webhook_endpoint import FilterConfig, WebhookConfig
from tests.conformance.table import ELSEWHERE, RULES

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("migrating-from-*.md"))
#: Whatever a reader or operator may be told, by a page or by the engine.
TOLD = sorted(
    path
    for place in ("*.md", "Makefile", "docs/**/*.*", "engine/**/*.py", "benchmarks/**/*.py", "benchmarks/**/*.md")
    for path in ROOT.glob(place)
    if path.suffix in (".md", ".py", ".html", ".js", "") and "node_modules" not in path.parts
)
INSTALL = re.compile(
    r"\b(?:pip3?|pipx|uv|uv tool) (?:install|add|download|wheel)(?: -(?!r )[\w-]+)* ([^\s`;&|,)-][^\s`;&|,)]*)"
)
#: What an application's own back end needs, and what makes our packages, by their names.
THEIRS = ("pusher", "django>=5.2", "build")
#: A file of ours, and a folder or module in backticks.
FILE = re.compile(r"(?<![\w/.*{-])((?:[\w-]+/)*[\w-]+\.(?:py|pyx|pxd|lua|mjs))\b(?![\w(/])")
FOLDER = re.compile(r"`((?:engine|tests|benchmarks|docs)(?:/[\w-]+)+/?)`")
OPTION = re.compile(r"`([a-z_]+(?:\.[a-z_*]+)*)`")
#: Names in the column of ours that are no options.
OTHER = frozenset({"a.example", "client_options"})


def test_rules_that_are_named_exist() -> None:
    known = {each.id for each in RULES} | set(ELSEWHERE)
    named = set(re.findall(r"`([CNEUH]-\d+)`", (DOCS / "compatibility.md").read_text()))
    assert len(named) > 30
    assert named <= known, named - known


def test_every_row_says_yes_or_no() -> None:
    rows = [line for line in (DOCS / "compatibility.md").read_text().splitlines() if line.startswith("| ")]
    answers = [row.split("|")[2].strip() for row in rows if "| here |" not in row]
    assert len(answers) > 50
    assert {*answers} <= {"yes", "no"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_options_that_are_named_exist(page: Path) -> None:
    """In the tables' column of ours; single words may be anything."""
    rows = [line.split("|") for line in page.read_text().splitlines() if line.startswith("| ")]
    named = {name for row in rows for name in OPTION.findall(row[2]) if "." in name or "_" in name}
    assert len(named) > 3
    unknown = {name for name in named - OTHER if not _exists(name)}
    assert not unknown


def test_pip_is_given_a_path() -> None:
    """A registry may have anything under our name, and would install it."""
    told = [(word, path.name) for path in TOLD for word in _installed(path.read_text())]
    assert len(told) > 5
    # An application's own back end is told to install its framework and a client's library, by their names.
    assert not [each for each in told if not _is_path(each[0]) and each[0] not in THEIRS]


def test_files_that_are_named_exist() -> None:
    """By a name alone, or by the end of its path: `page.py`, `metrics/page.py`."""
    sources = [path for path in (ROOT / "engine").rglob("*") if path.suffix in (".py", ".pyx", ".pxd", ".lua")]
    there = {
        "/".join(parts[start:])
        for folder in ("engine", "tests", "benchmarks", "docs")
        for path in (ROOT / folder).rglob("*")
        if "node_modules" not in path.parts
        for parts in [path.relative_to(ROOT).parts]
        for start in range(len(parts))
    }
    # The folder is npm's to make, back ends are the reader's.
    there.update([path.name for path in ROOT.iterdir()])
    there.update(["tests/clients/node_modules", "backend.py", "backend.mjs", "manage.py"])
    there.update(f"{app}.py" for app in ("mysite/settings", "mysite/urls", "realtime/engine", "realtime/views"))
    pages = [*ROOT.glob("*.md"), *DOCS.glob("*.md")]
    named = [(path, name) for path in pages for find in (FILE, FOLDER) for name in find.findall(path.read_text())]
    named += [(path, name) for path in sources for name in FILE.findall(path.read_text())]
    assert len(named) > 100
    missing = {f"{path.relative_to(ROOT)}: {name}" for path, name in named if name.rstrip("/") not in there}
    assert not missing, sorted(missing)


@pytest.mark.parametrize("command", ["pip install engine", "pip install 'engine[aws]'", "uv pip install -q engine"])
def test_a_name_for_pip_is_found(command: str) -> None:
    (word,) = _installed(f"Then `{command}`, and go on; or `pip install -r requirements.txt`.")
    assert not _is_path(word)


def _installed(text: str) -> list[str]:
    """What is to be installed, by each command; what comes from a list of requirements is not ours."""
    return [word.strip("'\"") for word in INSTALL.findall(text)]


def _is_path(word: str) -> bool:
    return re.fullmatch(r"\.(\[[\w{},]+\])?|[./].*\.whl(\[\w+\])?|\$\$wheel\[\w+", word.strip('"')) is not None


def _exists(option: str) -> bool:
    """Whether it is an option of the server, or of an application, webhook or filter."""
    return any(_in_section(section, option) for section in (Config, AppConfig, WebhookConfig, FilterConfig))


def _in_section(section: type[Section] | None, option: str) -> bool:
    for name in option.split("."):
        if section is None:
            return False
        fields = {field.alias or key: field for key, field in section.model_fields.items()}
        if name not in fields:
            return False
        section = _section_in(fields[name].annotation)
    return True
