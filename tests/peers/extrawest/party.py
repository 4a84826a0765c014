"""An OCPI 2.2.1 platform made of extrawest-ocpi, run by the interpreter that has it: ``python party.py``.

The library serves OCPI: versions, version details and the modules of its role, with its own checks of tokens and
objects. What it leaves to its users is here: where objects are kept, the platform's side of the handshake, and sending,
both with its own classes. `/control/…` is for the test that drives it. The environment tells who it is.
"""

import base64
import json
import os
import uuid
from typing import Any

COUNTRY_CODE, PARTY_ID = os.environ["COUNTRY_CODE"], os.environ["PARTY_ID"]
PORT = int(os.environ["PORT"])
# Read by the library when it is imported.
os.environ |= {
    "OCPI_HOST": f"127.0.0.1:{PORT}",
    "PROTOCOL": "http",
    "TRAILING_SLASH": "false",
    "CI_STRING_LOWERCASE_PREFERENCE": "false",
}

import httpx  # noqa: E402
import uvicorn  # noqa: E402
from fastapi import Request  # noqa: E402
from py_ocpi.core.adapter import BaseAdapter  # noqa: E402
from py_ocpi.core.authentication.authenticator import Authenticator  # noqa: E402
from py_ocpi.core.crud import Crud  # noqa: E402
from py_ocpi.core.dependencies import get_endpoints  # noqa: E402
from py_ocpi.core.enums import ModuleID, RoleEnum  # noqa: E402
from py_ocpi.main import get_application  # noqa: E402
from py_ocpi.modules.cdrs.v_2_2_1.schemas import Cdr  # noqa: E402
from py_ocpi.modules.credentials.v_2_2_1.schemas import Credentials  # noqa: E402
from py_ocpi.modules.locations.v_2_2_1.schemas import Location  # noqa: E402
from py_ocpi.modules.sessions.v_2_2_1.schemas import Session, SessionPartialUpdate  # noqa: E402
from py_ocpi.modules.tariffs.v_2_2_1.schemas import Tariff  # noqa: E402
from py_ocpi.modules.tokens.v_2_2_1.schemas import Token  # noqa: E402
from py_ocpi.modules.versions.enums import VersionNumber  # noqa: E402

ROLE = RoleEnum(os.environ["ROLE"])
TOKEN_B = str(uuid.uuid4())
#: (module, id) → the object as the library gave it
KEPT: dict[tuple[str, str], dict[str, Any]] = {}
SCHEMAS = {
    "sessions": Session,
    "sessions patch": SessionPartialUpdate,
    "cdrs": Cdr,
    "locations": Location,
    "tariffs": Tariff,
    "tokens": Token,
}
REGISTRATION: dict[str, Any] = {}


class InMemory(Crud):
    """Objects by module and id."""

    @classmethod
    async def get(cls, module: ModuleID, role: RoleEnum, id: Any, *args: Any, **kwargs: Any) -> Any:
        return KEPT.get((module.value, str(id)))

    @classmethod
    async def list(cls, module: ModuleID, role: RoleEnum, filters: Any, *args: Any, **kwargs: Any) -> Any:
        found = [kept for (name, _), kept in sorted(KEPT.items()) if name == module.value]
        first, most = filters["offset"], filters["limit"]
        return found[first : first + most], len(found), first + most >= len(found)

    @classmethod
    async def create(cls, module: ModuleID, role: RoleEnum, data: Any, *args: Any, **kwargs: Any) -> Any:
        KEPT[module.value, data.get("uid") or data["id"]] = data
        return data

    @classmethod
    async def update(cls, module: ModuleID, role: RoleEnum, data: Any, id: Any, *args: Any, **kwargs: Any) -> Any:
        KEPT[module.value, str(id)] = data
        return data

    @classmethod
    async def delete(cls, module: ModuleID, role: RoleEnum, id: Any, *args: Any, **kwargs: Any) -> None:
        KEPT.pop((module.value, str(id)), None)

    @classmethod
    async def do(cls, *args: Any, **kwargs: Any) -> Any:
        return None


class OurTokens(Authenticator):
    """Knows the token that we gave the node."""

    @classmethod
    async def get_valid_token_c(cls) -> list[str]:
        return [TOKEN_B]

    @classmethod
    async def get_valid_token_a(cls) -> list[str]:
        return []


app = get_application(
    version_numbers=[VersionNumber.v_2_2_1],
    roles=[ROLE],
    crud=InMemory,
    modules=[ModuleID.sessions, ModuleID.cdrs, ModuleID.locations, ModuleID.tariffs, ModuleID.tokens],
    authenticator=OurTokens,
    adapter=BaseAdapter,
)


def advertise_with_slash() -> None:
    """The library redirects a POST to `/cdrs` to `/cdrs/`; a 2.x node follows redirects of a GET only."""
    endpoints = app.dependency_overrides[get_endpoints]()
    for endpoint in endpoints[VersionNumber.v_2_2_1]:
        if endpoint.identifier == ModuleID.cdrs:
            endpoint.url = f"{endpoint.url}/"


advertise_with_slash()


def shown(token: str) -> dict[str, str]:
    """As OCPI 2.2.1 writes tokens."""
    return {"Authorization": f"Token {base64.b64encode(token.encode()).decode()}"}


@app.post("/control/register")
async def register(request: Request) -> dict[str, Any]:
    """Versions, details, credentials: OCPI 2.2.1 §7.1."""
    asked = await request.json()
    async with httpx.AsyncClient() as client:
        token_a = shown(asked["token_a"])
        versions = (await client.get(asked["versions_url"], headers=token_a)).json()["data"]
        url = next(each["url"] for each in versions if each["version"] == VersionNumber.v_2_2_1.value)
        endpoints = (await client.get(url, headers=token_a)).json()["data"]["endpoints"]
        ours = Credentials(
            token=TOKEN_B,
            url=f"http://127.0.0.1:{PORT}/ocpi/versions",
            roles=[
                {
                    "role": ROLE,
                    "business_details": {"name": "made of extrawest-ocpi"},
                    "party_id": PARTY_ID,
                    "country_code": COUNTRY_CODE,
                }
            ],
        )
        credentials_url = next(each["url"] for each in endpoints if each["identifier"] == "credentials")
        answer = await client.post(credentials_url, headers=token_a, json=json.loads(ours.json()))
        theirs = Credentials(**answer.json()["data"])
    REGISTRATION.update(
        token_c=theirs.token,
        endpoints={f"{each['identifier']} {each['role']}": each["url"] for each in endpoints},
    )
    return {"endpoints": REGISTRATION["endpoints"], "roles": json.loads(theirs.json())["roles"]}


@app.post("/control/send")
async def send(request: Request) -> dict[str, Any]:
    """One request through the node; an object is read and written by the library's class for it."""
    asked = await request.json()
    body = None
    if asked.get("object") is not None:
        kind = SCHEMAS[f"{asked['module']}{' patch' if asked['method'] == 'PATCH' else ''}"]
        body = json.loads(kind(**asked["object"]).json(exclude_unset=True))
    url = asked.get("url") or REGISTRATION["endpoints"][f"{asked['module']} {asked['interface']}"] + asked["path"]
    headers = shown(REGISTRATION["token_c"]) | {
        "X-Request-ID": str(uuid.uuid4()),
        "X-Correlation-ID": asked["correlation_id"],
        "OCPI-from-country-code": COUNTRY_CODE,
        "OCPI-from-party-id": PARTY_ID,
        "OCPI-to-country-code": asked["to"][0],
        "OCPI-to-party-id": asked["to"][1],
    }
    async with httpx.AsyncClient() as client:
        answer = await client.request(asked["method"], url, headers=headers, json=body)
    return {"status": answer.status_code, "body": answer.json(), "headers": dict(answer.headers)}


@app.post("/control/keep")
async def keep(request: Request) -> None:
    """An object of our own, to be asked for by others."""
    asked = await request.json()
    kind = SCHEMAS[asked["module"]]
    KEPT[asked["module"], asked["object"]["id"]] = json.loads(kind(**asked["object"]).json())


@app.post("/control/forget")
async def forget() -> None:
    """Begin anew."""
    KEPT.clear()
    REGISTRATION.clear()


@app.get("/control/kept")
async def kept() -> dict[str, Any]:
    """Everything that is kept."""
    return {f"{module} {name}": data for (module, name), data in sorted(KEPT.items())}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning")
