"""What `doctor` finds, and how it is printed: a line for each thing looked at, with the remedy where one is needed.

Looks at nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from engine.cli.text import say
from engine.log.escapes import one_line
from engine.protocol.json_values import dumps

Level = Literal["ok", "warning", "problem", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """:ivar check: which thing was looked at. :ivar message: what was found. :ivar remedy: what to do, if anything."""

    level: Level
    check: str
    message: str
    remedy: str = ""


def print_findings(findings: Iterable[Finding], *, as_json: bool) -> int:
    """Print each as it is found; returns the exit status: 1 when one of them is a problem."""
    counts = {"problem": 0, "warning": 0}
    for finding in findings:
        if finding.level in counts:
            counts[finding.level] += 1
        if as_json:
            say(dumps(asdict(finding)).decode())
            continue
        say(f"{finding.level:<7}  {finding.check}: {one_line(finding.message)}")
        if finding.remedy:
            say(f"         {one_line(finding.remedy)}")
    if not as_json:
        say(", ".join(f"{number} {level}{'' if number == 1 else 's'}" for level, number in counts.items()))
    return 1 if counts["problem"] else 0
