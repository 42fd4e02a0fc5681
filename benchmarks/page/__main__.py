"""`python -m benchmarks.page`: renders docs/benchmarks.md and its plots from the stored results. Measures nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from benchmarks.load.programs import ROOT
from benchmarks.load.report import WAITED
from benchmarks.page import svg
from benchmarks.page.goals import goals
from benchmarks.page.results import LoadResult, read
from benchmarks.page.tables import COLUMNS, goal_table, growth_table, instruction_table, micro_table, scenario_table

PAGE = ROOT / "docs" / "benchmarks.md"
PLOTS = ROOT / "docs" / "benchmarks"

#: scenario -> (plot's title, figure, unit, digits, scale)
_BARS = {
    "fan-out": ("CPU per delivery (less is better)", "cpu_us_per_delivery", "µs", 1, 1),
    "fan-out-flat": ("Deliveries per second, one core (more is better)", "deliveries_per_s", "", 0, 1),
    "fan-out-half": ("99th percentile of delivery latency (less is better)", "delivery.p99_us", "ms", 1, 1e-3),
    "publish": ("Publishes per second, one core (more is better)", "answered_per_s", "", 0, 1),
    "storm": ("CPU per connect and subscribe (less is better)", "connect_cpu_us", "µs", 0, 1),
    "idle": ("Memory per idle connection (less is better)", "kib_per_connection", "KiB", 1, 1),
}


def main() -> int:
    load_stored, micro, instructions, growth = (read(name) for name in ("load", "micro", "instructions", "growth"))
    if load_stored is None and micro is None:
        print("there are no results yet: make bench", file=sys.stderr)
        return 1
    load = LoadResult(load_stored) if load_stored is not None else None
    PLOTS.mkdir(parents=True, exist_ok=True)
    parts = [Path(__file__).with_name("intro.md").read_text()]
    parts += ["## What the engine is held to", goal_table(goals(load, micro))]
    parts += ["## Where the time and the memory go", Path(__file__).with_name("notes.md").read_text()]
    if load is not None:
        parts += ["## Under load", _conditions(load), *_scenarios(load)]
    if growth is not None:
        parts += ["## Beside what nobody touches", *_growth(growth)]
    if micro is not None:
        parts += ["## Single functions", *_micro(micro)]
    if instructions is not None:
        parts += ["## Instructions", _INSTRUCTIONS, instruction_table(instructions)]
    PAGE.write_text("\n\n".join(part.strip() for part in parts) + "\n")
    print(f"wrote {PAGE.relative_to(ROOT)}")
    return 0


_INSTRUCTIONS = """\
Times are noisy; counts are not. `make instructions` runs the hot functions on fixed inputs under valgrind's callgrind
and fails in CI when one of them executes more than the stored count allows. A system call counts as what leads into it.
Valgrind offers no SHA instructions, so a signature takes more instructions there than on the machine itself."""


_GROWTH = """\
A publish goes to 10 subscribers, an arrival is a connection and the subscription to a channel of its own, a departure
the end of both. Processor time is that of all workers beyond what they take at rest; the least of the rounds counts."""


_MICRO = """\
*broadcast and flush* writes to real sockets that another process reads; its clock stops when the last outbox is empty.
*gate to answer* takes 64 pipelined publishes from their bytes to those of their answers and is given per publish;
*deliver* hands an event of another worker to subscribers without sockets."""


def _conditions(load: LoadResult) -> str:
    stored = load.stored
    machine, conditions = stored["machine"], stored["conditions"]
    versions = ", ".join(f"{name} {value}" for name, value in stored["versions"].items())
    servers = "; ".join(
        f"{each['title']}: {each.get('version') or 'not measured, ' + each['missing']}"
        for each in stored["servers"].values()
        if each.get("version") or each["missing"]
    )
    dirty = " with changes" if stored["dirty"] else ""
    processes = conditions["client_processes"]
    lines = [
        f"Measured {stored['date']} at commit `{stored['commit'][:10]}`{dirty} by `{stored['command']}`.",
        f"- **Machine**: {machine['cpu']}, {machine['cores']} cores"
        f"{' of a virtual machine' if machine['virtual'] == 'yes' else ''}, {machine['memory_gib']} GiB, "
        f"Linux {machine['kernel']}; load average before the run {stored['load_average']}.",
        f"- **Cores**: servers on {conditions['server_cores']}, load client "
        f"({processes} process{'es' if processes > 1 else ''}) on {conditions['client_cores']}; "
        f"`ulimit -n` {conditions['open_files']:,}.",
        f"- **Each measurement**: {conditions['warmup_s']:g} s of warm-up, {conditions['seconds']:g} s measured, after "
        f"300 connections that came and went; rounds: {conditions['rounds']}, interleaved; medians, and below them the "
        "range of the rounds.",
        f"- **Servers**: {servers}.",
        f"- **Versions**: {versions}.",
    ]
    if conditions["scale"] != 1:
        lines.append(f"- Numbers of connections were scaled by {conditions['scale']:g}.")
    wrong = load.wrong()
    lines.append(f"- **Lost, doubled or refused**: {'; '.join(wrong) if wrong else 'nothing, in any measurement'}.")
    disturbed = load.disturbed()
    if disturbed:
        lines.append(
            f"- **Disturbed**: in {disturbed} measurements the server was ready to run and had to wait for its core "
            f"for more than {WAITED:.0%} of the time."
        )
    return "\n".join([lines[0], "", *lines[1:]])


def _scenarios(load: LoadResult) -> list[str]:
    parts = []
    for name in COLUMNS:
        described = load.stored["scenarios"].get(name)
        if described is None:
            continue
        parts.append(f"### {described['title']}\n\n{described['text']}{_note(load, name)}")
        if name in _BARS:
            parts.append(_plot(load, name))
        parts.append(scenario_table(load, name))
    return parts


def _note(load: LoadResult, scenario: str) -> str:
    """What can be said only of what was measured."""
    if scenario == "fan-out-half":
        rate = load.median(scenario, "engine", "rate")
        return f" Here that was {rate:g} publishes/s." if rate else ""
    if scenario == "client-limit":
        share = load.median(scenario, "floor", "client_share")
        return f" The client used {share:.0%} of its cores for that." if share is not None else ""
    return ""


def _plot(load: LoadResult, scenario: str) -> str:
    title, figure, unit, digits, scale = _BARS[scenario]
    values = {}
    for server in load.servers(scenario):
        median = load.median(scenario, server, figure)
        if median is not None:
            values[load.title(server)] = median * scale
    (PLOTS / f"{scenario}.svg").write_text(svg.bars(title, values, unit, digits, load.title("engine")))
    return f"![{title}](benchmarks/{scenario}.svg)"


def _growth(growth: dict[str, Any]) -> list[str]:
    machine = growth["machine"]
    parts = [
        f"Measured {growth['date']} at commit `{growth['commit'][:10]}` by `{growth['command']}`: "
        f"{growth['workers']} workers and their Redis on {machine['cores']} cores, which the clients had to share; "
        f"load average then {growth['load_average']:.1f}. {_GROWTH}"
    ]
    for beside, points in growth["beside"].items():
        title = f"Processor time beside {beside} that nobody touches"
        series = {
            name: [(point["size"], point[figure]) for point in points]
            for name, figure in (("a publish", "publish_us"), ("an arrival", "arrive_us"), ("a departure", "leave_us"))
        }
        (PLOTS / f"beside-{beside}.svg").write_text(svg.lines(title, series, beside, "µs"))
        parts += [f"![{title}](benchmarks/beside-{beside}.svg)", growth_table(beside, points)]
    return parts


def _micro(micro: dict[str, Any]) -> list[str]:
    series: dict[str, list[tuple[float, float]]] = {}
    for each in micro["benchmarks"]:
        if each["parameter"].isdigit():
            point = (float(each["parameter"]), each["median_us"])
            series.setdefault(each["name"].replace("_", " "), []).append(point)
    plot = svg.lines("Median time of one call", series, "subscribers or channels", "µs")
    (PLOTS / "micro.svg").write_text(plot)
    dirty = " with changes" if micro["dirty"] else ""
    return [
        f"Measured {micro['date']} at commit `{micro['commit'][:10]}`{dirty} by `{micro['command']}`; "
        f"load average then {micro['load_average']}. {_MICRO}",
        "![Median time of one call](benchmarks/micro.svg)",
        micro_table(micro),
    ]


if __name__ == "__main__":
    sys.exit(main())
