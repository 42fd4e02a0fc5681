"""`make instructions`: what the hot functions execute, counted by valgrind, against the stored counts.

Times vary from run to run, counts of instructions do not: a change that makes a hot function dearer is seen at once, on
any busy machine. ``--update`` stores the counts; a change that does so says why in its commit.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from benchmarks.load.programs import BUILD, ROOT, compiler

RESULT = ROOT / "benchmarks" / "results" / "instructions.json"
#: More than this above the stored count fails: between the same versions, and between different ones.
TOLERANCE, TOLERANCE_ELSEWHERE = 0.03, 0.30
TIMEOUT_S = 600
HEAP, CLOCK, MARKS = BUILD / "heap.so", BUILD / "clock.so", BUILD / "marks.so"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.instructions", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--update", action="store_true", help="store the counts instead of comparing them")
    args = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("instructions: skipped, valgrind is not installed (apt-get install valgrind)")
        return 0
    if not _compile():
        print("instructions: skipped, valgrind's headers are not installed")
        return 0
    counts = count()
    if args.update:
        stored = {"tolerance": TOLERANCE, "versions": versions(), "instructions": dict(sorted(counts.items()))}
        RESULT.write_text(json.dumps(stored, indent=1) + "\n")
    return compare(counts, json.loads(RESULT.read_text()))


def count() -> dict[str, int]:
    """Instructions of one call of each case."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        command = [
            "valgrind",
            "--tool=callgrind",
            "--instr-atstart=no",
            "--collect-atstart=no",
            f"--callgrind-out-file={folder}/out",
            sys.executable,
            "-m",
            "benchmarks.instructions.hot",
            str(MARKS),
        ]
        if shutil.which("setarch") is not None:
            # The same addresses each time: some hashes are made of them.
            command = ["setarch", platform.machine(), "--addr-no-randomize", *command]
        environment = {
            **os.environ,
            "LD_PRELOAD": f"{HEAP} {CLOCK}",
            "PYTHONHASHSEED": "0",
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        try:
            subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=True
            )
        except subprocess.CalledProcessError as error:
            sys.exit(f"instructions: the counted program failed\n{error.stdout}\n{error.stderr[-4000:]}")
        return per_subscriber(least(_read(path) for path in Path(folder).glob("out.*")))


def least(rounds: Iterable[tuple[str, float]]) -> dict[str, float]:
    """The count of each case: what its cheapest round took."""
    found: dict[str, float] = {}
    for name, instructions in rounds:
        found[name] = min(instructions, found.get(name, instructions))
    return found


def per_subscriber(counts: dict[str, float]) -> dict[str, int]:
    """Pairs of cases that differ in their number of subscribers become the cost of one more."""
    found = {}
    pairs: dict[str, dict[int, float]] = {}
    for name, instructions in counts.items():
        case, _, subscribers = name.partition("@")
        if subscribers:
            pairs.setdefault(case, {})[int(subscribers)] = instructions
        else:
            found[case] = round(instructions)
    for case, by_size in pairs.items():
        few, more = min(by_size), max(by_size)
        found[f"{case}_per_subscriber"] = round((by_size[more] - by_size[few]) / (more - few))
        found[f"{case}_{few}_subscribers"] = round(by_size[few])
    return found


def compare(counts: dict[str, int], stored: dict[str, object]) -> int:
    """Print both; 1 when something has become dearer than is tolerated."""
    known: dict[str, int] = stored["instructions"]  # type: ignore[assignment]
    same = stored["versions"] == versions()
    tolerance = float(stored["tolerance"]) if same else TOLERANCE_ELSEWHERE  # type: ignore[arg-type]
    if not same:
        print(f"stored with {stored['versions']}, here {versions()}: {tolerance:.0%} are tolerated")
    dearer, cheaper = [], []
    print(f"{'instructions of one call':<34}{'stored':>10}{'now':>10}")
    for name in sorted(known.keys() | counts.keys()):
        before, now = known.get(name), counts.get(name)
        change = now / before - 1 if before and now else None
        note = "" if change is None else f"{change:+9.1%}"
        if before is None or now is None or now > before * (1 + tolerance):
            dearer.append(name)
            note += "  <-"
        elif now < before * (1 - tolerance):
            cheaper.append(name)
        print(f"{name:<34}{before or '-':>10}{now or '-':>10}{note}")
    if cheaper:
        print(f"cheaper than stored: {', '.join(cheaper)}; make instructions ARGS=--update keeps it so")
    if dearer:
        print(f"dearer than stored, or not stored: {', '.join(dearer)}")
        print("If that is meant, store the new counts: make instructions ARGS=--update")
    return 1 if dearer else 0


def versions() -> dict[str, str]:
    """What the counts depend on beside our own code."""
    return {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "compiler": _said([*compiler(), "-dumpfullversion"]),
        "valgrind": _said(["valgrind", "--version"]),
        **{name: version(name) for name in ("Cython", "picows", "uvloop", "orjson", "hiredis")},
    }


def _compile() -> bool:
    """False without valgrind's headers, which some distributions package apart."""
    BUILD.mkdir(parents=True, exist_ok=True)
    for library in (HEAP, CLOCK, MARKS):
        source = Path(__file__).with_name(f"{library.stem}.c")
        command = [*compiler(), "-O2", "-fno-builtin-malloc", "-shared", "-fPIC", "-o", str(library), str(source)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode and "callgrind.h" not in run.stderr:
            sys.exit(run.stderr)
    return run.returncode == 0


def _read(path: Path) -> tuple[str, float]:
    """Case and instructions of one call, of one of callgrind's files."""
    text = path.read_text()
    named = re.search(r"^desc: Trigger: Client Request: (.*):(\d+)$", text, re.MULTILINE)
    total = re.search(r"^(?:summary|totals): (\d+)", text, re.MULTILINE)
    if named is None or total is None:
        return path.name, 0.0
    return named[1], int(total[1]) / int(named[2])


def _said(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
