"""The data classes that a node binds typed bodies to: OCPI 2.2's objects, member by member, in the node's order.

Names ending in ``?`` may be missing; numbers are 32-bit floats (ocn-protocol.md b.5). Enumerations are written out only
where a wrong word is worth refusing.
"""

from collections.abc import Mapping

from ocn_permission_agent.ocn.version import NodeVersion
from ocn_permission_agent.ocpi.route import InterfaceRole, Module, Route, RouteKind
from ocn_permission_agent.sandbox.node.typed import Choice, Kind, Many, Plain, Shape

T, R, W, F = Plain.TEXT, Plain.REAL, Plain.WHOLE, Plain.FLAG


def _choice(words: str) -> Choice:
    return Choice(frozenset(words.split()))


_AUTH_METHOD = _choice("AUTH_REQUEST COMMAND WHITELIST")
_TOKEN_TYPE = _choice("AD_HOC_USER APP_USER OTHER RFID")
_PRICE = Shape({"excl_vat": R, "incl_vat?": Plain.REAL_OR_ZERO})
_DIMENSION = Shape({"type": T, "volume": R})
_PERIOD = Shape({"start_date_time": T, "dimensions": Many(_DIMENSION), "tariff_id?": T})
_NAMED_URL = Shape({"name": T, "website?": T, "logo?": Shape({"url": T, "thumbnail?": T, "category": T, "type": T})})
_TEXT_IN_LANGUAGE = Shape({"language": T, "text": T})
_IMAGE = Shape({"url": T, "thumbnail?": T, "category": T, "type": T, "width?": W, "height?": W})
_GEO = Shape({"latitude": T, "longitude": T})
_GEO_NAMED = Shape({"latitude": T, "longitude": T, "name?": _TEXT_IN_LANGUAGE})
_ENERGY_MIX = Shape(
    {
        "is_green_energy": F,
        "energy_sources?": Many(Shape({"source": T, "percentage": R})),
        "environ_impact?": Many(Shape({"category": T, "amount": R})),
        "supplier_name?": T,
        "energy_product_name?": T,
    }
)
_HOURS = Shape(
    {
        "twentyfourseven": F,
        "regular_hours?": Many(Shape({"weekday": W, "period_begin": T, "period_end": T})),
        "exceptional_openings?": Many(Shape({"period_begin": T, "period_end": T})),
        "exceptional_closings?": Many(Shape({"period_begin": T, "period_end": T})),
    }
)
CONNECTOR = Shape(
    {
        "id": T,
        "standard": T,
        "format": _choice("SOCKET CABLE"),
        "power_type": T,
        "max_voltage": W,
        "max_amperage": W,
        "max_electric_power?": W,
        "tariff_ids?": Many(T),
        "terms_and_conditions?": T,
        "last_updated": T,
    }
)
EVSE = Shape(
    {
        "uid": T,
        "evse_id?": T,
        "status": _choice("AVAILABLE BLOCKED CHARGING INOPERATIVE OUTOFORDER PLANNED REMOVED RESERVED UNKNOWN"),
        "status_schedule?": Many(Shape({"period_begin": T, "period_end?": T, "status": T})),
        "capabilities?": Many(T),
        "connectors": Many(CONNECTOR),
        "floor_level?": T,
        "coordinates?": _GEO,
        "physical_reference?": T,
        "directions?": Many(_TEXT_IN_LANGUAGE),
        "parking_restrictions?": Many(T),
        "images?": Many(_IMAGE),
        "last_updated": T,
    }
)
LOCATION = Shape(
    {
        "country_code": T,
        "party_id": T,
        "id": T,
        "publish": F,
        "publish_allowed_to?": Many(
            Shape({"uid?": T, "type?": T, "visual_number?": T, "issuer?": T, "group_id?": T}),
        ),
        "name?": T,
        "address": T,
        "city": T,
        "postal_code?": T,
        "state?": T,
        "country": T,
        "coordinates": _GEO,
        "related_locations?": Many(_GEO_NAMED),
        "parking_type?": T,
        "evses?": Many(EVSE),
        "directions?": Many(_TEXT_IN_LANGUAGE),
        "operator?": _NAMED_URL,
        "suboperator?": _NAMED_URL,
        "owner?": _NAMED_URL,
        "facilities?": Many(T),
        "time_zone": T,
        "opening_times?": _HOURS,
        "charging_when_closed?": F,
        "images?": Many(_IMAGE),
        "energy_mix?": _ENERGY_MIX,
        "last_updated": T,
    }
)
TARIFF = Shape(
    {
        "country_code": T,
        "party_id": T,
        "id": T,
        "currency": T,
        "type?": T,
        "tariff_alt_text?": Many(_TEXT_IN_LANGUAGE),
        "tariff_alt_url?": T,
        "min_price?": _PRICE,
        "max_price?": _PRICE,
        "elements": Many(
            Shape(
                {
                    "price_components": Many(
                        Shape({"type": _choice("ENERGY FLAT PARKING_TIME TIME"), "price": R, "vat?": R, "step_size": W})
                    ),
                    "restrictions?": Shape(
                        {
                            "start_time?": T,
                            "end_time?": T,
                            "start_date?": T,
                            "end_date?": T,
                            "min_kwh?": R,
                            "max_kwh?": R,
                            "min_current?": R,
                            "max_current?": R,
                            "min_power?": R,
                            "max_power?": R,
                            "min_duration?": W,
                            "max_duration?": W,
                            "day_of_week?": Many(T),
                            "reservation?": T,
                        }
                    ),
                }
            )
        ),
        "start_date_time?": T,
        "end_date_time?": T,
        "energy_mix?": _ENERGY_MIX,
        "last_updated": T,
    }
)
TOKEN = Shape(
    {
        "country_code": T,
        "party_id": T,
        "uid": T,
        "type": _TOKEN_TYPE,
        "contract_id": T,
        "visual_number?": T,
        "issuer": T,
        "group_id?": T,
        "valid": F,
        "whitelist": _choice("ALWAYS ALLOWED ALLOWED_OFFLINE NEVER"),
        "language?": T,
        "default_profile_type?": T,
        "energy_contract?": Shape({"supplier_name": T, "contract_id?": T}),
        "last_updated": T,
    }
)
_CDR_LOCATION = Shape(
    {
        "id": T,
        "name?": T,
        "address": T,
        "city": T,
        "postal_code": T,
        "country": T,
        "coordinates": _GEO,
        "evse_uid": T,
        "evse_id": T,
        "connector_id": T,
        "connector_standard": T,
        "connector_format": T,
        "connector_power_type": T,
    }
)
_SIGNED_DATA = Shape(
    {
        "encoding_method": T,
        "encoding_method_version?": W,
        "public_key?": T,
        "signed_values": Many(Shape({"nature": T, "plain_data": T, "signed_data": T})),
        "url?": T,
    }
)
_RATE_UNIT = _choice("A W")
_PROFILE = Shape(
    {
        "start_date_time?": T,
        "duration?": W,
        "charging_rate_unit": _RATE_UNIT,
        "min_charging_rate?": R,
        "charging_profile_period?": Many(Shape({"start_period": W, "limit": R})),
    },
    writes_null=True,
)
_COMMANDS: Mapping[str, Shape] = {
    "CANCEL_RESERVATION": Shape({"response_url": T, "reservation_id": T}),
    "RESERVE_NOW": Shape(
        {
            "response_url": T,
            "token": TOKEN,
            "expiry_date": T,
            "reservation_id": T,
            "location_id": T,
            "evse_uid?": T,
            "authorization_reference?": T,
        }
    ),
    "START_SESSION": Shape(
        {"response_url": T, "token": TOKEN, "location_id": T, "evse_uid?": T, "authorization_reference?": T}
    ),
    "STOP_SESSION": Shape({"response_url": T, "session_id": T}),
    "UNLOCK_CONNECTOR": Shape({"response_url": T, "location_id": T, "evse_uid": T, "connector_id": T}),
}
_COMMAND_RESULT = Shape({"result": T, "message?": _TEXT_IN_LANGUAGE})
_PREFERENCES = Shape(
    {"profile_type": T, "departure_time?": T, "energy_need?": R, "discharge_allowed?": F},
)
_LOCATION_REFERENCES = Shape({"location_id": T, "evse_uids?": Many(T)})
_ACTIVE_PROFILE = Shape({"start_date_time": T, "charging_profile": _PROFILE})
_SET_PROFILE = Shape({"charging_profile": _PROFILE, "response_url": T})
#: by the number of segments behind the module
_BY_DEPTH = {3: LOCATION, 4: EVSE, 5: CONNECTOR}
_OTHERS: Mapping[tuple[Module, RouteKind], Shape] = {
    (Module.SESSIONS, RouteKind.PREFERENCES): _PREFERENCES,
    (Module.TARIFFS, RouteKind.OBJECT): TARIFF,
    (Module.TOKENS, RouteKind.OBJECT): TOKEN,
    (Module.TOKENS, RouteKind.AUTHORIZE): _LOCATION_REFERENCES,
    (Module.COMMANDS, RouteKind.RESULT): _COMMAND_RESULT,
}


def session(version: NodeVersion) -> Shape:
    """A session; 1.x's tokens in it have no owner."""
    return Shape(
        {
            "country_code": T,
            "party_id": T,
            "id": T,
            "start_date_time": T,
            "end_date_time?": T,
            "kwh": R,
            "cdr_token": _cdr_token(version),
            "auth_method": _AUTH_METHOD,
            "authorization_reference?": T,
            "location_id": T,
            "evse_uid": T,
            "connector_id": T,
            "meter_id?": T,
            "currency": T,
            "charging_periods?": Many(_PERIOD),
            "total_cost?": _PRICE,
            "status": _choice("ACTIVE COMPLETED INVALID PENDING RESERVATION"),
            "last_updated": T,
        }
    )


def cdr(version: NodeVersion) -> Shape:
    """A charge detail record."""
    return Shape(
        {
            "country_code": T,
            "party_id": T,
            "id": T,
            "start_date_time": T,
            "end_date_time": T,
            "session_id?": T,
            "cdr_token": _cdr_token(version),
            "auth_method": _AUTH_METHOD,
            "authorization_reference?": T,
            "cdr_location": _CDR_LOCATION,
            "meter_id?": T,
            "currency": T,
            "tariffs?": Many(TARIFF),
            "charging_periods": Many(_PERIOD),
            "signed_data?": _SIGNED_DATA,
            "total_cost": _PRICE,
            "total_fixed_cost?": _PRICE,
            "total_energy": R,
            "total_energy_cost?": _PRICE,
            "total_time": R,
            "total_time_cost?": _PRICE,
            "total_parking_time?": R,
            "total_parking_cost?": _PRICE,
            "total_reservation_cost?": _PRICE,
            "remark?": T,
            "invoice_reference_id?": T,
            "credit?": F,
            "credit_reference_id?": T,
            "last_updated": T,
        }
    )


def shape_of(method: str, route: Route, version: NodeVersion) -> Shape | None:
    """The class that a route's body is bound to, or None where it is a free object (PATCH, results of profiles)."""
    if method == "PATCH":
        return None
    match route.module, route.kind:
        case Module.SESSIONS, RouteKind.OBJECT:
            return session(version)
        case Module.CDRS, RouteKind.CDR:
            return cdr(version)
        case Module.LOCATIONS, RouteKind.OBJECT:
            return _BY_DEPTH[len(route.segments)]
        case Module.COMMANDS, RouteKind.COMMAND:
            return _COMMANDS[route.segments[0]]
        case Module.CHARGING_PROFILES, RouteKind.PROFILE:
            return _ACTIVE_PROFILE if route.interface_role is InterfaceRole.SENDER else _SET_PROFILE
        case other:
            return _OTHERS.get(other)


def _cdr_token(version: NodeVersion) -> Shape:
    members: dict[str, Kind] = {"uid": T, "type": _TOKEN_TYPE, "contract_id": T}
    return Shape(members if version is NodeVersion.V1 else {"country_code": T, "party_id": T} | members)
