"""The headers of a webhook request: whose it is, its signature, its id, and what the configuration adds.

The same whatever carries the request. Pure; the only place where a webhook is signed.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.app import App, Endpoint
from engine.interfaces import Job

#: Configured headers of these names are left out: they belong to the transport.
_TRANSPORT = frozenset({"content-length", "transfer-encoding", "connection"})


def request_headers(
    app: App, endpoint: Endpoint, job: Job, body: bytes, usual: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Configured headers first, which never replace ours (W-1, D-8).

    :param body: the exact bytes that are sent, which are signed (W-5, D-1).
    :param usual: the sender's, for names that are not configured.
    """
    digest = app.signer.hex(body)
    ours = {
        "Content-Type": "application/json",
        "X-Pusher-Key": app.key,
        "X-Pusher-Signature": digest if endpoint.signature_format == "hex" else f"sha256={digest}",
        "X-Webhook-Id": job.id,
        "X-Webhook-Attempt": str(job.attempt + 1),
    }
    if job.traceparent:
        ours["traceparent"] = job.traceparent
    reserved = _TRANSPORT.union(name.lower() for name in ours)
    configured = {name: value for name, value in endpoint.headers.items() if name.lower() not in reserved}
    taken = {name.lower() for name in configured}
    return configured | {name: value for name, value in (usual or {}).items() if name.lower() not in taken} | ours
