"""What the framework under a node answers where no handler of the node does: its own JSON, or nothing. Pure."""

from datetime import datetime

import msgspec

from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.sandbox.node.refusal import FrameworkRefusal
from ocn_permission_agent.sandbox.node.relay import timestamp
from ocn_permission_agent.sandbox.serving import Answer, Incoming


def refusal_page(refusal: FrameworkRefusal, incoming: Incoming, *, version: NodeVersion, now: datetime) -> Answer:
    """The answer to what reached no handler, or did not fit the one it reached."""
    status, path, old = refusal.http_status, incoming.raw_path, version is NodeVersion.V1
    if status == 404 and not refusal.text:
        if old:
            return old_page(404, "Not Found", path, message="No message available", now=now)
        return new_page(404, f"No static resource {path.lstrip('/')}.", path)
    if status not in (405, 415):
        return Answer(http_status=status, body=refusal.text.encode(), content_type="text/plain")
    headers = {"Allow": ",".join(refusal.allow)} if status == 405 else {"Accept": "application/json"}
    if old:
        return Answer(http_status=status, headers=headers)
    what = f"Method '{incoming.method}'" if status == 405 else f"Content-Type '{refusal.text}'"
    return Answer(http_status=status, headers=headers, body=new_page(status, f"{what} is not supported.", path).body)


def old_page(status: int, error: str, path: str, *, message: str, now: datetime) -> Answer:
    """1.x's JSON about a request that ended in the framework."""
    at = timestamp(now).replace("Z", "+0000")
    members = {"timestamp": at, "status": status, "error": error, "message": message, "path": path}
    return Answer(http_status=status, body=msgspec.json.encode(members))


def new_page(status: int, error: str, path: str) -> Answer:
    """2.x's."""
    return Answer(http_status=status, body=msgspec.json.encode({"status": status, "error": error, "path": path}))
