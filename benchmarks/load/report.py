"""One line for one measurement, as it is printed while the run goes on."""

from __future__ import annotations

from benchmarks.load.measure import Figures
from benchmarks.load.scenarios import Scenario

#: A client this busy may have been slower than the server.
CLIENT_BUSY = 0.97
#: Share of the time that server or client were ready to run and did not, beyond which others have disturbed them.
WAITED = 0.10
#: Figures that should be zero. Events of webhooks can also come more than once, which makes their number negative.
WRONG = ("missing", "duplicates", "rejected", "lost", "webhooks_missing")


def line(scenario: Scenario, figures: Figures) -> str:
    """The figures that matter for this scenario, and whatever went wrong."""
    if scenario.kind == "connect":
        parts = [
            f"{figures['connects_per_s']:,.0f} connects/s",
            f"{figures['connect_cpu_us']:.0f} µs each",
            f"{figures['kib_per_connection']:.2f} KiB each",
        ]
        return ", ".join(parts)
    parts = [f"{figures['deliveries_per_s']:,.0f} deliveries/s", f"{figures['sent_per_s']:,.0f} sent/s"]
    if figures["cpu_us_per_delivery"] is not None:
        parts.append(f"{figures['cpu_us_per_delivery']:.2f} µs")
    if "webhook_events_per_s" in figures:
        parts.append(f"{figures['webhook_events_per_s']:,.0f} webhook events/s")
    delivery = figures["delivery"]
    parts.append(f"p50 {delivery['p50_us'] / 1e3:.2f} p99 {delivery['p99_us'] / 1e3:.2f} ms")
    parts.append(f"server {figures['server_cores']:.0%} client {figures['client_share']:.0%}")
    return ", ".join(parts + wrong(figures))


def wrong(figures: Figures) -> list[str]:
    """What makes a measurement doubtful."""
    found = [f"{figures[name]:,} {name}" for name in WRONG if figures.get(name)]
    if figures.get("client_share", 0) > CLIENT_BUSY:
        found.append("CLIENT AT ITS LIMIT")
    for name in ("server", "client"):
        waited = figures.get(f"{name}_waited", 0)
        if waited > WAITED:
            found.append(f"{name} waited {waited:.0%} for its core")
    return found
