"""The API of decisions: JSON objects of strings in, documents out."""

from collections.abc import Awaitable, Callable

import orjson
from aiohttp import web

from ocn_permission_agent.admin.desk import Desk, Document, Written
from ocn_permission_agent.consent.deciding import DecisionRefused

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def decision_routes(desk: Desk) -> tuple[web.RouteDef, ...]:
    """What is served below ``/api/v1/``; the bearer token is asked for elsewhere."""

    async def stops(_: web.Request) -> web.Response:
        return _answer(await desk.stops())

    async def history(_: web.Request) -> web.Response:
        return _answer(await desk.history())

    async def remove(request: web.Request) -> web.Response:
        return await _decided(desk.remove_stop, dict(request.query), status=200)

    return (
        web.get("/api/v1/stops", stops),
        web.get("/api/v1/decisions", history),
        web.post("/api/v1/stops", _posted(desk.add_stop)),
        web.delete("/api/v1/stops", remove),
        web.post("/api/v1/parties/confirm", _posted(desk.confirm_party)),
        web.post("/api/v1/agreements/confirm", _posted(desk.confirm_agreement)),
    )


def _posted(decide: Callable[[Written], Awaitable[Document]]) -> _Handler:
    async def handle(request: web.Request) -> web.Response:
        written = _strings(await request.read())
        if written is None:
            return _answer({"error": "A JSON object of strings is needed."}, status=400)
        return await _decided(decide, written, status=201)

    return handle


async def _decided(decide: Callable[[Written], Awaitable[Document]], written: Written, *, status: int) -> web.Response:
    try:
        return _answer(await decide(written), status=status)
    except DecisionRefused as refusal:
        return _answer({"error": str(refusal)}, status=400)


def _strings(body: bytes) -> dict[str, str] | None:
    """The fields that hold anything; None when it is no object of strings."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(document, dict) or not all(isinstance(each, str | None) for each in document.values()):
        return None
    return {name: value for name, value in document.items() if value is not None}


def _answer(document: object, *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(document), status=status, content_type="application/json")
