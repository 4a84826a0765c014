"""``POST /api/v1/backup``: copy the store into a new file on the agent's machine."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson
from aiohttp import web

from ocn_permission_agent.errors import StoreUnavailable

BackUp = Callable[[Path], Awaitable[int]]


def backup_routes(backup: BackUp) -> list[web.RouteDef]:
    """The one route.

    The body is ``{"path": "/var/backups/agent-2026-11-20.db"}``; the answer repeats it with the file's ``bytes``. The
    path is absolute, nothing is ever overwritten, and only the agent's account may read the file.
    """

    async def handle(request: web.Request) -> web.Response:
        target = _target(await request.read())
        if target is None:
            return _json({"error": 'The body must be {"path": "/an/absolute/path"}.'}, status=400)
        try:
            size = await backup(target)
        except StoreUnavailable as error:
            return _json({"error": f"{error}."}, status=503)
        return _json({"path": str(target), "bytes": size}, status=201)

    return [web.post("/api/v1/backup", handle)]


def _target(body: bytes) -> Path | None:
    try:
        fields = json.loads(body)
    except ValueError:
        return None
    text = fields.get("path") if isinstance(fields, dict) else None
    if not isinstance(text, str) or "\0" in text or not Path(text).is_absolute():
        return None
    return Path(text)


def _json(document: object, *, status: int) -> web.Response:
    return web.Response(body=orjson.dumps(document), status=status, content_type="application/json")
