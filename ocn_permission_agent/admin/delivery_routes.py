"""The API of deliveries: choices in, documents out."""

from collections.abc import Awaitable, Callable

import orjson
from aiohttp import web

from ocn_permission_agent.admin.caseload import BadChoice, Document
from ocn_permission_agent.admin.clerk import Clerk, Written

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def delivery_routes(clerk: Clerk) -> tuple[web.RouteDef, ...]:
    """What is served below ``/api/v1/``; the bearer token is asked for elsewhere."""
    return (
        web.get("/api/v1/deliveries", _asked(clerk.list)),
        web.get("/api/v1/deliveries/preview", _asked(clerk.preview)),
        web.get("/api/v1/deliveries/{id}", _asked(clerk.show)),
        web.post("/api/v1/deliveries/retry", _posted(clerk.retry)),
        web.post("/api/v1/deliveries/discard", _posted(clerk.discard)),
        web.get("/api/v1/explain/{correlation_id}", _asked(clerk.explain)),
    )


def _asked(answer: Callable[[Written], Awaitable[Document | None]]) -> _Handler:
    async def handle(request: web.Request) -> web.Response:
        return await _told(answer, {**request.query, **request.match_info})

    return handle


def _posted(act: Callable[[Written], Awaitable[Document]]) -> _Handler:
    async def handle(request: web.Request) -> web.Response:
        try:
            written = orjson.loads(await request.read())
        except orjson.JSONDecodeError:
            written = None
        if not isinstance(written, dict) or not all(isinstance(each, str) for each in written.values()):
            return _answer({"error": "A JSON object of strings is needed."}, status=400)
        return await _told(act, written)

    return handle


async def _told(answer: Callable[[Written], Awaitable[Document | None]], written: Written) -> web.Response:
    try:
        document = await answer(written)
    except BadChoice as error:
        return _answer({"error": str(error)}, status=400)
    if document is None:
        return _answer({"error": "There is no such delivery, or it is longer ago than is kept."}, status=404)
    return _answer(document)


def _answer(document: object, *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(document), status=status, content_type="application/json")
