"""What a chaos run shows: the table of what was done and told, and the history of a channel that went wrong."""

from __future__ import annotations

from tests.chaos.diary import Diary
from tests.chaos.ledger import Ledger
from tests.chaos.plan import Plan

#: How the words for faults begin, in the diary.
FAULTS = ("leader", "lease", "worker", "node", "Valkey")


def table(plan: Plan, diary: Diary, ledger: Ledger) -> str:
    """One line for each kind of thing, with how often it was."""
    ledger.read()
    channels = {told.event["channel"] for told in ledger.history}
    rows = {
        "faults": _counts(diary, lambda what: what.startswith(FAULTS)),
        "moods of the endpoint": _counts(diary, lambda what: what.startswith("endpoint")),
        "guests": _counts(diary, lambda what: not what.startswith((*FAULTS, "endpoint"))),
        "requests": {name: n for name, n in sorted(ledger.counts.items()) if name != "events"},
        "told": {"events": ledger.counts["events"], "channels": len(channels)},
        "found": {
            "wrong stories": len(ledger.wrong_stories()),
            "other faults": len(ledger.faults),
        },
    }
    lines = [f"seed {plan.seed}: {plan.seconds:g} s of trouble for {plan.guests} guests, settling {plan.settle_ms} ms"]
    for title, counts in rows.items():
        lines.append(f"  {title}")
        lines += [f"    {what:<32}{n:>8}" for what, n in counts.items()]
    return "\n".join(lines)


def history(channel: str, diary: Diary, ledger: Ledger) -> str:
    """All that was told of a channel, taken or not, between what guests did there and what was done to all."""
    lines = [(note.at, note.text) for note in diary.notes if note.channel in ("", channel)]
    for request, event in ledger.of(channel):
        job, attempt = request.headers["x-webhook-id"], request.headers["x-webhook-attempt"]
        what = f"{event['name']} {event.get('user_id', '')} seq {event['seq']} at {event['time_ms']}"
        lines.append((request.at, f"  -> {what}; job {job}, attempt {attempt}, answered {request.answer}"))
    shown = [f"{diary.since(at):8.2f}  {text}" for at, text in sorted(lines)]
    return "\n".join((f"--- {channel} ---", *shown))


def _counts(diary: Diary, wanted: object) -> dict[str, int]:
    assert callable(wanted)
    return {what: n for what, n in sorted(diary.counts.items()) if wanted(what)}
