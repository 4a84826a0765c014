"""Deliveries as documents, and choices as they are written (pure)."""

from collections.abc import Mapping
from datetime import UTC, datetime

from ocn_permission_agent.consent.permission import permission_for
from ocn_permission_agent.ocpi.route import InterfaceRole, Module
from ocn_permission_agent.outbox.casework import (
    Choice,
    Listed,
    Preview,
    Shown,
    Step,
    Story,
)
from ocn_permission_agent.outbox.model import Attempt, DeliveryState

Document = dict[str, object]


class BadChoice(ValueError):
    """What was written cannot be understood; the message says what."""


def read_choice(written: Mapping[str, str], *, whole: bool = True) -> Choice:
    """Understand which deliveries are meant; what does not belong to a choice is passed over.

    Args:
        written: `ids` and `state` with commas, `customer`, `provider`, `module`, `since`, `until`.
        whole: whether all deliveries may be meant.

    Raises:
        BadChoice: not understood, or nothing was chosen where something must be.
    """
    choice = Choice(
        ids=tuple(_number(text, "ids") for text in _items(written, "ids")),
        customer=written.get("customer"),
        provider=written.get("provider"),
        module=_module(written),
        states=tuple(_state(text) for text in _items(written, "state")),
        since=_instant(written, "since"),
        until=_instant(written, "until"),
    )
    if choice == Choice() and not whole:
        raise BadChoice("Choose some deliveries, or say that all are meant.")
    return choice


def read_number(written: Mapping[str, str], name: str, *, default: int | None = None, most: int = 2**62) -> int:
    """A number that was written.

    Raises:
        BadChoice: none, or too large.
    """
    if name not in written:
        if default is None:
            raise BadChoice(f"{name}: is missing.")
        return default
    number = _number(written[name], name)
    if number > most:
        raise BadChoice(f"{name}: must be at most {most}.")
    return number


def listed_document(listed: Listed) -> Document:
    """One row of a list."""
    return {
        "id": listed.id,
        "state": listed.state.value,
        "customer": listed.customer,
        "provider": listed.provider,
        "module": listed.module,
        "interface_role": listed.interface_role,
        "method": listed.method,
        "owner": listed.owner,
        "object_id": listed.object_id,
        "correlation_id": listed.correlation_id,
        "recorded_at": _time(listed.recorded_at),
        "ended_at": _time(listed.ended_at),
        "next_attempt_at": _time(listed.next_attempt_at),
        "attempts": listed.attempts,
        "payload_kept": listed.payload_kept,
        "reason": listed.reason,
    }


def shown_document(shown: Shown) -> Document:
    """Everything about one delivery."""
    return listed_document(shown.listed) | {
        "customer_address": shown.customer_address,
        "provider_address": shown.provider_address,
        "agreement": {
            "transaction_hash": shown.agreement.transaction_hash,
            "log_index": shown.agreement.log_index,
            "block": shown.agreement_block or None,
        },
        "permission": permission_for(Module(shown.listed.module), InterfaceRole(shown.listed.interface_role)),
        "receiver": shown.receiver,
        "url_path": shown.url_path,
        "expires_at": _time(shown.expires_at) if shown.listed.state is DeliveryState.PENDING else None,
        "in_flight": shown.in_flight,
        "held": shown.held,
        "paused": shown.paused,
        "sent_as": shown.sent_as,
        "tries": [_attempt_document(number, attempt) for number, attempt in enumerate(shown.attempts, start=1)],
    }


def preview_document(preview: Preview) -> Document:
    """What a choice comes to."""
    return {
        "by_state": {state.value: preview.by_state[state] for state in DeliveryState if preview.by_state.get(state)},
        "total": sum(preview.by_state.values()),
        "retriable": preview.retriable,
        "discardable": preview.discardable,
    }


def step_document(step: Step) -> Document:
    """What a slice did."""
    return {"done": step.done, "passed_over": step.passed_over, "next": step.last_id}


def story_document(correlation_id: str, story: Story) -> Document:
    """All that is known of the requests with one correlation id."""
    return {
        "correlation_id": correlation_id,
        "copies": [shown_document(each) for each in story.copies],
        "repeated": [
            {
                "delivery": each.delivery_id,
                "provider": each.provider,
                "noted_at": _time(each.noted_at),
                "receiver": each.receiver,
            }
            for each in story.repeated
        ],
        "not_copied": [
            {
                "noted_at": _time(each.noted_at),
                "sender": each.sender,
                "receiver": each.receiver,
                "module": each.module,
                "interface_role": each.interface_role,
                "method": each.method,
                "reason": each.reason,
            }
            for each in story.not_copied
        ],
        "gaps": [{"reason": each.reason, "at": _time(each.at)} for each in story.missed],
    }


def _attempt_document(number: int, attempt: Attempt) -> Document:
    return {
        "number": number,
        "started_at": _time(attempt.started_at),
        "ended_at": _time(attempt.ended_at),
        "verdict": attempt.verdict.value,
        "http_status": attempt.http_status,
        "ocpi_status": attempt.ocpi_status,
        "detail": attempt.detail,
    }


def _items(written: Mapping[str, str], name: str) -> list[str]:
    return [text.strip() for text in written.get(name, "").split(",") if text.strip()]


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadChoice(f"{name}: {text!r} is not a number.")
    return int(text)


def _state(text: str) -> DeliveryState:
    try:
        return DeliveryState(text)
    except ValueError:
        known = ", ".join(state.value for state in DeliveryState)
        raise BadChoice(f"state: {text!r} is none of {known}.") from None


def _module(written: Mapping[str, str]) -> str | None:
    if "module" not in written:
        return None
    try:
        return Module(written["module"]).value
    except ValueError:
        known = ", ".join(module.value for module in Module)
        raise BadChoice(f"module: {written['module']!r} is none of {known}.") from None


def _instant(written: Mapping[str, str], name: str) -> datetime | None:
    """ISO 8601, a date alone is its first moment; UTC unless told otherwise."""
    if name not in written:
        return None
    try:
        at = datetime.fromisoformat(written[name])
    except ValueError:
        raise BadChoice(f"{name}: {written[name]!r} is no time: 2026-03-01 or 2026-03-01T10:00:00Z is meant.") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="milliseconds")
