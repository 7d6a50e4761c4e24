"""What came in and could not be read: listed, shown, and replayed. Called by `notifier incoming`.

Nothing is lost there: it stands raw and sealed, with the reason, until an operator looks at it.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, update

from channels.base import Medium
from channels.mailread import read_head
from notifier.db import Tx
from notifier.errors import Conflict, NotFound
from notifier.inbox.receive import HEADERS_ALONE, MAIL, RAW, SENDER
from notifier.models import IncomingRow, IncomingState

PAGE = 200


@dataclass(frozen=True, kw_only=True)
class Held:
    """One message in quarantine. octets: as it is kept, sealed."""

    id: UUID
    channel: str
    medium: str
    received_at: datetime
    reason: str
    octets: int


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The same, opened. sender, subject: where it is a mail. can_be_replayed: it is a message, not a provider's call."""

    held: Held
    sender: str
    subject: str
    raw: bytes
    can_be_replayed: bool


async def listed(tx: Tx) -> list[Held]:
    """What is held, newest first, so much as fits a screen or two."""
    rows = await tx.execute(
        _HELD.where(IncomingRow.state == IncomingState.QUARANTINED)
        .order_by(IncomingRow.received_at.desc())
        .limit(PAGE)
    )
    return [_held(row) for row in rows]


async def shown(tx: Tx, incoming: UUID) -> Shown:
    """One of them, opened. Raises NotFound."""
    statement = _HELD.add_columns(IncomingRow.raw_sealed, IncomingRow.sender_sealed)
    row = (
        await tx.execute(
            statement.where(IncomingRow.id == incoming, IncomingRow.state == IncomingState.QUARANTINED)
        )
    ).one_or_none()
    if row is None:
        raise NotFound("There is no message in quarantine by that id.")
    raw = tx.keys.open(RAW, row.id, row.raw_sealed)
    sender = tx.keys.open_text(SENDER, row.id, row.sender_sealed)
    is_message = row.channel == MAIL or bool(sender)
    mail = read_head(raw) if row.medium == Medium.EMAIL and is_message else None
    return Shown(
        held=_held(row),
        sender=mail.sender if mail else sender,
        subject=mail.subject if mail else "",
        raw=raw,
        can_be_replayed=is_message,
    )


async def replay(tx: Tx, incoming: UUID, *, headers_only: bool = False) -> None:
    """Handle it once more, within the same bounds; headers_only: a mail is queued with what its headers tell.

    Raises NotFound, and Conflict for a provider's call, which only the provider can make again. Safe to run twice: what
    has left quarantine is not there any more.
    """
    found = await shown(tx, incoming)
    if not found.can_be_replayed:
        raise Conflict(
            "That is a provider's call that could not be read, not a message. It can only be shown."
        )
    await tx.execute(
        update(IncomingRow)
        .where(IncomingRow.id == incoming, IncomingRow.state == IncomingState.QUARANTINED)
        .values(
            state=IncomingState.STORED, kind=None, tries=0, reason=HEADERS_ALONE if headers_only else None
        )
    )
    tx.on_commit("route", str(incoming))


_HELD = select(
    IncomingRow.id,
    IncomingRow.channel,
    IncomingRow.medium,
    IncomingRow.received_at,
    func.coalesce(IncomingRow.reason, "").label("reason"),
    func.length(IncomingRow.raw_sealed).label("octets"),
)


def _held(row: object) -> Held:
    return Held(**{name: getattr(row, name) for name in Held.__dataclass_fields__})
