"""docs/protocol.md says every numbered rule that is cited, no other, and nothing false about its test vectors."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "protocol.md").read_text()
SOURCES = ("*.py", "*.pyi", "*.pyx", "*.pxd", "*.lua", "*.mjs")
#: C-27, or A-V3 for a test vector. What stands inside a longer word, such as UTF-8, is none.
LETTERS = "CNEUHWKMD"
RULE = re.compile(rf"(?<![\w-])(?:[{LETTERS}]-|[A-Z]-V)[0-9]+(?![\w-])")
RANGE = re.compile(rf"(?<![\w-])([{LETTERS}])-([0-9]+) to (?:\1-)?([0-9]+)(?![\w-])")
STATED = re.compile(r"\*\*([A-Z]-V?[0-9]+)\*\*")
#: Citations of a section: docs/protocol.md 5.4 to 5.6.
SECTION = re.compile(r"docs/protocol\.md ([0-9](?:\.[0-9])?)(?: (?:to|and) ([0-9](?:\.[0-9])?))?")
HEADING = re.compile(r"^#{2,3} ([0-9]+(?:\.[0-9]+)?)\.? ", re.MULTILINE)
VECTOR = re.compile(r"\| \*\*([A-Z]-V[0-9]+)\*\* \| `(.+)` \| `([0-9a-f]{64})` \|$")
SECRET = re.compile(r"[Ss]ecret `([^`]+)`")


def cited_in(text: str) -> set[str]:
    found = set(RULE.findall(text))
    for letter, first, last in RANGE.findall(text):
        found.update(f"{letter}-{number}" for number in range(int(first), int(last) + 1))
    return found


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        for kind in SOURCES:
            yield from (path for path in (ROOT / folder).rglob(kind) if "node_modules" not in path.parts)


def cited(*folders: str) -> dict[str, str]:
    """Rule -> a file that cites it."""
    return {
        rule: str(path.relative_to(ROOT))
        for path in sources(*folders)
        if path != Path(__file__)
        for rule in cited_in(path.read_text())
    }


def test_every_cited_rule_is_stated() -> None:
    rules = cited("engine", "tests", "benchmarks") | {
        rule: path.name for path in (ROOT / "docs").glob("*.md") for rule in cited_in(path.read_text())
    }
    stated = set(STATED.findall(PAGE))
    missing = {rule: path for rule, path in rules.items() if rule not in stated}
    assert len(rules) > 200
    assert not missing, f"cited, and not in docs/protocol.md: {missing}"


def test_every_stated_rule_is_cited() -> None:
    """A rule that nobody implements or tests is a promise of nobody."""
    idle = set(STATED.findall(PAGE)) - set(cited("engine", "tests"))
    assert not idle, f"in docs/protocol.md, and cited by neither code nor tests: {sorted(idle)}"


def test_rules_are_stated_once_and_in_order() -> None:
    stated = STATED.findall(PAGE)
    assert len(stated) == len(set(stated)), sorted({rule for rule in stated if stated.count(rule) > 1})
    for letter in LETTERS:
        numbers = [int(rule[2:]) for rule in stated if re.match(rf"{letter}-[0-9]", rule)]
        assert numbers and numbers == sorted(numbers), letter


def test_sections_that_are_cited_exist() -> None:
    headings = set(HEADING.findall(PAGE))
    named = {
        section: str(path.relative_to(ROOT))
        for path in sources("engine", "tests")
        for found in SECTION.findall(path.read_text())
        for section in found
        if section
    }
    missing = {section: path for section, path in named.items() if section not in headings}
    assert len(named) > 10
    assert not missing, missing


@pytest.mark.parametrize("vague", ["protocol reference", "of the reference", "(section "])
def test_a_citation_says_where_it_leads(vague: str) -> None:
    """A reader finds it only if the page is named."""
    found = [str(path.relative_to(ROOT)) for path in sources("engine") if vague in path.read_text()]
    assert not found


def test_vectors_are_right() -> None:
    secret, checked = "", 0
    for line in PAGE.splitlines():
        if found := SECRET.search(line):
            secret = found[1]
        if found := VECTOR.match(line):
            text = found[2].replace("⏎", "\n").encode()
            assert hmac.new(secret.encode(), text, hashlib.sha256).hexdigest() == found[3], found[1]
            checked += 1
    assert checked == len([rule for rule in STATED.findall(PAGE) if "-V" in rule])


def test_ranges_count_whole() -> None:
    """The other tests would pass too easily if this did not see what it must."""
    assert cited_in("(N-18 to N-20, H-3 to 4)") == {"N-18", "N-19", "N-20", "H-3", "H-4"}
    assert cited_in("UTF-8, X-1, A-V3: C-27.") == {"A-V3", "C-27"}
