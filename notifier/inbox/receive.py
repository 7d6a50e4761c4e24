"""Stores what comes from outside, raw and sealed, before anything else is done with it.

Called by the edges that take messages in (hooks, the mail listener), inside the transaction they
commit before they say yes. What is stored is committed, in one place, and found again by the sweep.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from sqlalchemy import select, update

from channels import addresses
from channels.base import HookRequest, Incoming, Medium, OptedOut
from channels.errors import BadAddress
from notifier.db import Tx
from notifier.inbox import calls
from notifier.inbox.media import want
from notifier.models import IncomingKind, IncomingRow, IncomingState
from subscribers.dialects import insert_for
from subscribers.models import new_id

MAIL = "email"  # the channel name of mail, whichever door it came in by
SENDER, TEXT, RAW = "incoming.sender", "incoming.text", "incoming.raw"
MAX_TRIES = 3
HEAD_OCTETS = 256_000
HEADERS_ALONE = "only its headers were read"

_ANGLE_ADDRESS = re.compile(rb"<([^<>\s@]{1,256}@[^<>\s@]{1,256})>")
_BARE_ADDRESS = re.compile(rb"[^\s<>,;:\"()@]{1,256}@[^\s<>,;:\"()@]{1,256}")


@dataclass(frozen=True, kw_only=True)
class Stored:
    """It is safe, for the first time."""

    id: UUID


@dataclass(frozen=True, kw_only=True)
class Duplicate:
    """It was safe already, under this id."""

    id: UUID


async def store(tx: Tx, channel: str, event: Incoming) -> Stored | Duplicate:
    """Keep one message; the job `route` is poked with its id. Safe to run twice by (channel, event_id)."""
    return await _keep(tx, channel, event, state=IncomingState.STORED)


async def quarantine(
    tx: Tx, channel: str, medium: Medium, call: HookRequest, reason: str
) -> Stored | Duplicate:
    """Keep a signed call that cannot be read, for a person to look at. Safe to run twice by its target and body."""
    told = sha256(calls.target_of(call).encode("utf-8", "surrogateescape") + b"\0" + call.body).hexdigest()
    unread = Incoming(
        event_id=told,
        medium=medium,
        sender="",
        recipient="",
        text="",
        at=None,
        raw=calls.written(call),
    )
    return await _keep(
        tx, channel, unread, state=IncomingState.QUARANTINED, kind=IncomingKind.UNREADABLE, reason=reason
    )


async def file_opt_out(tx: Tx, channel: str, event: OptedOut, *, reason: str) -> Stored | Duplicate:
    """Keep a provider's word that somebody left; there is nothing to route. Safe to run twice by (channel, event_id)."""
    left = Incoming(
        event_id=event.event_id,
        medium=event.medium,
        sender=event.address,
        recipient="",
        text="",
        at=event.at,
        raw=event.raw,
    )
    return await _keep(tx, channel, left, state=IncomingState.FILED, kind=IncomingKind.STOP, reason=reason)


def mail_event(raw: bytes, *, mail_from: str | None = None, recipients: Sequence[str] = ()) -> Incoming:
    """A mail as an event. Its id is its Message-ID and body, or all of it where it has no Message-ID.

    mail_from, recipients: the envelope, where we are the last server it passes. It is written above the
    headers as RFC 5321 §4.4 asks of that server; nothing below is touched.
    """
    head, body = _split(raw)
    message_id = _header(head, b"message-id")
    named = message_id + b"\0" + body if message_id else raw
    return Incoming(
        event_id=sha256(named).hexdigest(),
        medium=Medium.EMAIL,
        sender=_sender(head) or (mail_from or ""),
        recipient=recipients[0] if recipients else "",
        text="",
        at=None,
        raw=_trace(mail_from, recipients) + raw,
    )


async def failed(tx: Tx, incoming_id: UUID, reason: str) -> None:
    """Handling it raised. After three tries it is quarantined with the reason, for a person to look at."""
    row = IncomingRow
    tries = await tx.scalar(
        update(row)
        .where(row.id == incoming_id, row.state == IncomingState.STORED)
        .values(tries=row.tries + 1, reason=reason[:200])
        .returning(row.tries)
    )
    if tries is not None and tries >= MAX_TRIES:
        await tx.execute(update(row).where(row.id == incoming_id).values(state=IncomingState.QUARANTINED))


async def set_aside(tx: Tx, incoming_id: UUID, reason: str) -> None:
    """Quarantine what cannot be read within its bounds, for an operator to look at and replay."""
    await tx.execute(
        update(IncomingRow)
        .where(IncomingRow.id == incoming_id, IncomingRow.state == IncomingState.STORED)
        .values(state=IncomingState.QUARANTINED, kind=IncomingKind.UNREADABLE, reason=reason[:200])
    )


def normalised(sender: str, medium: Medium) -> str:
    """The sender's address in its one spelling, or as it came where it has none."""
    if medium is Medium.SMS:
        return addresses.incoming_number(sender)
    try:
        return addresses.normalise(sender, medium)
    except BadAddress:
        return sender.strip()


async def _keep(
    tx: Tx,
    channel: str,
    event: Incoming,
    *,
    state: IncomingState,
    kind: IncomingKind | None = None,
    reason: str | None = None,
) -> Stored | Duplicate:
    made = new_id()
    sender = _whole(normalised(event.sender, event.medium))
    values = {
        "id": made,
        "channel": channel,
        "event_id": _event_key(event.event_id),
        "medium": event.medium,
        "sender_sealed": tx.keys.seal(SENDER, made, sender),
        "sender_hash": tx.keys.address_hash(event.medium, sender),
        "in_reply_to": _whole(event.in_reply_to).replace("\0", "")[:200] or None,
        "recipient": _whole(event.recipient).replace("\0", "")[:320],
        "text_sealed": tx.keys.seal(TEXT, made, event.text),
        "raw_sealed": tx.keys.seal(RAW, made, event.raw),
        "received_at": tx.now,
        "state": state,
        "kind": kind,
        "reason": reason[:200] if reason else None,
    }
    unique = ["channel", "event_id"]
    statement = insert_for(tx, IncomingRow).on_conflict_do_nothing(index_elements=unique)
    if (await tx.execute(statement.values(values))).rowcount == 0:
        return Duplicate(id=await _earlier(tx, channel, values["event_id"]))
    await want(tx, made, event.media)
    if state is IncomingState.STORED:
        tx.on_commit("route", str(made))
    return Stored(id=made)


async def _earlier(tx: Tx, channel: str, event_id: object) -> UUID:
    found: UUID = await tx.scalar(
        select(IncomingRow.id).where(IncomingRow.channel == channel, IncomingRow.event_id == event_id)
    )
    return found


def _event_key(event_id: str) -> str:
    """The provider's id, or its hash where it would not fit the column."""
    if 0 < len(event_id) <= 200 and event_id.isascii() and event_id.isprintable():
        return event_id
    return sha256(event_id.encode("utf-8", "surrogatepass")).hexdigest()


def _whole(text: str) -> str:
    """Without half characters, which no database keeps."""
    return text.encode("utf-8", "replace").decode("utf-8")


# --- As much of a mail as is needed to keep it -----------------------------------------------


def _split(raw: bytes) -> tuple[bytes, bytes]:
    found = re.search(rb"\r?\n\r?\n", raw[:HEAD_OCTETS])
    return (raw[: found.start()], raw[found.end() :]) if found else (raw[:HEAD_OCTETS], b"")


def _header(head: bytes, name: bytes) -> bytes:
    """The first header of that name with its folded lines, or nothing."""
    found = re.search(rb"(?im)^" + name + rb"[ \t]*:(.*(?:\n[ \t].*)*)", head)
    return b" ".join(found[1].split()) if found else b""


def _sender(head: bytes) -> str:
    value = _header(head, b"from")[:16_000]
    found = _ANGLE_ADDRESS.search(value)
    bare = _BARE_ADDRESS.search(value)
    address = found[1] if found else bare[0] if bare else b""
    return address.decode("utf-8", "replace").lower()


def _trace(mail_from: str | None, recipients: Sequence[str]) -> bytes:
    lines = [] if mail_from is None else [f"Return-Path: <{mail_from}>"]
    lines += [f"Delivered-To: {recipient}" for recipient in recipients]
    return "".join(f"{_printable(line)}\r\n" for line in lines).encode("utf-8", "replace")


def _printable(line: str) -> str:
    return "".join(character for character in line if character.isprintable())


__all__ = ["MAIL", "Duplicate", "Stored", "failed", "mail_event", "normalised", "quarantine", "store"]
