"""What came in and could not be read: listed, shown, and replayed. Called by `notifier incoming`.

Nothing is lost there: it stands raw and sealed, with the reason, until an operator looks at it.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, update

from channels.base import Medium, TakesHooks
from channels.errors import BadHook
from channels.mailread import read_head
from notifier.db import Tx
from notifier.errors import Conflict, NotFound
from notifier.inbox import calls, events
from notifier.inbox.receive import HEADERS_ALONE, MAIL, RAW, SENDER
from notifier.models import IncomingRow, IncomingState

PAGE = 200
READ_LATER = "read by its channel later"


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
    """The same, opened. sender, subject: where it is a mail. is_call: a provider's, that could not be read."""

    held: Held
    sender: str
    subject: str
    raw: bytes
    is_call: bool


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
        is_call=not is_message,
    )


async def replay(tx: Tx, incoming: UUID, *, headers_only: bool = False) -> None:
    """Handle a message once more, within the same bounds; headers_only: a mail is queued with what its headers tell.

    Raises NotFound, and Conflict for a provider's call. Safe to run twice: what has left quarantine is not there any more.
    """
    if (await shown(tx, incoming)).is_call:
        raise Conflict("That is a provider's call, not a message. Its channel has to read it.")
    reason = HEADERS_ALONE if headers_only else None
    await _release(tx, incoming, state=IncomingState.STORED, kind=None, tries=0, reason=reason)
    tx.on_commit("route", str(incoming))


async def replay_call(tx: Tx, incoming: UUID, channel: TakesHooks, origin: str) -> int:
    """Let its channel read a provider's call once more, as if it came now to our address `origin`: how many events it held.

    It proved who it was when it came. Raises NotFound, and Conflict where it is no call or still cannot be read. Safe to run
    twice.
    """
    found = await shown(tx, incoming)
    call = calls.read(found.raw, origin) if found.is_call else None
    if call is None:
        raise Conflict("That is no provider's call as this release keeps them. It can only be shown.")
    try:
        told = channel.parse(call)
    except Exception as error:  # a channel's fault that a later release may have mended
        said = str(error) if isinstance(error, BadHook) else type(error).__name__
        raise Conflict(f"Its channel still cannot read it: {said}") from error
    for event in told:
        await events.keep(tx, found.held.channel, event)
    await _release(tx, incoming, state=IncomingState.FILED, reason=READ_LATER)
    return len(told)


async def _release(tx: Tx, incoming: UUID, **values: object) -> None:
    await tx.execute(
        update(IncomingRow)
        .where(IncomingRow.id == incoming, IncomingRow.state == IncomingState.QUARANTINED)
        .values(**values)
    )


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
