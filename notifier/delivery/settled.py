"""Writes what became of deliveries and how their attempts ended (commit point C6), many rows in one statement.

Only where the fence still matches and the row still waits for an answer does the delivery change: writing
twice changes nothing. An attempt always gets its end; `became` says what that made of the delivery, if anything.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    Boolean,
    ColumnElement,
    Executable,
    Integer,
    String,
    bindparam,
    case,
    column,
    func,
    literal,
    null,
    or_,
    select,
    update,
)

from notifier.db import Lone, Tx
from notifier.delivery.fast import POSTGRESQL, Shape, given, list_of, listed
from notifier.delivery.record import follow_digests, note_events
from notifier.delivery.settle import ACCEPTED, Change, Standing
from notifier.models import Attempt, Delivery, DeliveryState
from subscribers import contact_points, suppression
from subscribers import standing as addresses
from subscribers.models import ContactPoint, ContactPointState, UTCDateTime

Named = tuple[int, int, str]  # of an attempt: delivery, number, the provider's name for it

# A row swept into doubt still takes a late answer.
WAITS: ColumnElement[bool] = or_(
    Delivery.state == DeliveryState.STARTED, Delivery.state == DeliveryState.IN_DOUBT
)


async def record(tx: Tx, changes: Sequence[Change]) -> set[int]:
    """Write changes and the ends of their attempts; the ids of the deliveries they took effect on."""
    if not changes:
        return set()
    ended = sorted(change for change in changes if change.outcome)  # two workers lock in the same order
    moved: set[int] = set()
    if ended:
        write = _on_postgresql if tx.dialect == POSTGRESQL else _elsewhere
        moved |= await write(tx, ended)
    for change in changes:
        if not change.outcome and await _resolve(tx, change):
            moved.add(change.id)
    standings = [change for change in changes if change.standing is not None]
    if standings:
        await _mark_addresses(tx, standings)
    await follow_digests(tx, [c.id for c in changes if c.is_notice and c.id in moved and c.state.is_terminal])
    return moved


async def _resolve(tx: Tx, change: Change) -> bool:
    """A doubt that ended without a new attempt: the event says how."""
    moved = await tx.execute(
        update(Delivery)
        .where(Delivery.id == change.id, Delivery.fence == change.number, WAITS)
        .values(
            state=change.state,
            reason=change.reason or None,
            maybe_repeat=change.maybe_repeat,
            checks=Delivery.checks - (0 if change.spends_try else 1),  # nobody could be asked
            lease_until=None,
            owner=None,
            **({"provider_id": change.provider_id} if change.provider_id else {}),
            **({"due_at": change.due_at} if change.due_at else {}),
        )
    )
    if moved.rowcount:
        said = f"{change.state}: {change.reason}"
        await note_events(tx, [change.id], change.event, said, state=change.state)
    return bool(moved.rowcount)


CLOSED = "5.2.1"  # RFC 3463: there, and takes no mail at present


async def _mark_addresses(tx: Tx, changes: Sequence[Change]) -> None:
    """An address that does not exist, or whose owner opted out at the provider, is not written to again.

    A mailbox that is closed for now (5.2.1) counts as it does where the mail comes back later.
    """
    refused = [c for c in changes if c.standing is Standing.BOUNCED and c.contact_point_id]
    closed = {c.contact_point_id for c in refused if c.code.endswith(CLOSED) and c.contact_point_id}
    for point in sorted(closed):
        await addresses.bounced(tx, point, addresses.Weight.POINT)
    bounced = [c.contact_point_id for c in refused if not c.code.endswith(CLOSED)]
    if bounced:
        await tx.execute(
            update(ContactPoint)
            .where(ContactPoint.id.in_(bounced), ContactPoint.state == ContactPointState.ACTIVE)
            .values(state=ContactPointState.BOUNCED, stopped_at=tx.now, bounced_at=tx.now)
        )
    left = {c.contact_point_id for c in changes if c.standing is Standing.STOPPED and c.contact_point_id}
    for point in sorted(left):
        contact = await contact_points.hold(tx, point)
        if contact is not None and (contact.subscriber is not None or not contact.is_active):
            await suppression.stop(tx, contact, source="provider", actor="provider")


# --- the statements ------------------------------------------------------------------------------

_COLUMNS: dict[str, Any] = {
    "id": BigInteger,
    "number": Integer,
    "provider_id": String,
    "state": String,
    "reason": String,
    "code": String,
    "outcome": String,
    "due_at": UTCDateTime,
    "maybe_repeat": Boolean,
    "given_back": Integer,
}
_OF_TAKEN = ("id", "number", "provider_id")  # what differs from one that was taken to the next


def _settle(_of: str) -> Executable:
    """Whatever became of them."""
    arrays = [given(name, ARRAY(kind)) for name, kind in _COLUMNS.items()]
    said = _said(arrays, list(_COLUMNS))
    became = {
        "state": said.c.state,
        "reason": said.c.reason,
        "due_at": func.coalesce(said.c.due_at, Delivery.due_at),
        "maybe_repeat": said.c.maybe_repeat,
        "tries": Delivery.tries - said.c.given_back,
    }
    ended = {"outcome": said.c.outcome, "reason": said.c.reason, "code": said.c.code}
    return _settling(said, said.c.state, became, ended)


def _settle_taken(_of: str) -> Executable:
    """The provider has them: nearly always. The same rule, with little to hand over for each."""
    said = _said([listed(name, _COLUMNS[name]) for name in _OF_TAKEN], _OF_TAKEN)
    state = literal(DeliveryState.ACCEPTED.value, String, literal_execute=True)
    ended = {"outcome": literal(ACCEPTED, String, literal_execute=True), "reason": null(), "code": null()}
    return _settling(said, state, {"state": state, "reason": null()}, ended)


def _said(arrays: Sequence[ColumnElement[Any]], names: Sequence[str]) -> CTE:
    """One row for each of them."""
    columns = [column(name, _COLUMNS[name]) for name in names]
    each = select(func.unnest(*arrays).table_valued(*columns).render_derived("each"))
    return each.cte("said").prefix_with("MATERIALIZED")


def _settling(
    said: CTE, state: ColumnElement[Any], became: Mapping[str, Any], ended: Mapping[str, Any]
) -> Executable:
    moved = (
        update(Delivery)
        .where(Delivery.id == said.c.id, Delivery.fence == said.c.number, WAITS)
        .values(
            provider_id=func.coalesce(said.c.provider_id, Delivery.provider_id),
            lease_until=None,
            owner=None,
            **became,
        )
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
        .cte("moved")
    )
    took_effect = said.c.id.in_(select(moved.c.id))
    return (
        update(Attempt)
        .where(Attempt.delivery_id == said.c.id, Attempt.number == said.c.number)
        .values(
            settled_at=func.transaction_timestamp(),
            provider_id=said.c.provider_id,
            became=case((took_effect, state)),
            **ended,
        )
        .returning(Attempt.delivery_id, Attempt.became)
        .execution_options(synchronize_session=False)
    )


_SETTLE, _SETTLE_TAKEN = Shape(_settle), Shape(_settle_taken)


async def _on_postgresql(tx: Tx, ended: Sequence[Change]) -> set[int]:
    plain = [(change.id, change.number, change.provider_id) for change in ended if change.is_plain]
    moved = await record_taken(tx, plain) if plain else set()
    if len(plain) < len(ended):
        others = [change for change in ended if not change.is_plain]
        rows = await _SETTLE.rows(
            tx,
            id=[change.id for change in others],
            number=[change.number for change in others],
            provider_id=[change.provider_id or None for change in others],
            state=[change.state for change in others],
            reason=[change.reason or None for change in others],
            code=[change.code or None for change in others],
            outcome=[change.outcome for change in others],
            due_at=[change.due_at for change in others],
            maybe_repeat=[change.maybe_repeat for change in others],
            given_back=[0 if change.spends_try else 1 for change in others],
        )
        moved |= {row[0] for row in rows if row[1] is not None}
    return moved


async def record_taken(tx: Tx | Lone, named: Sequence[Named]) -> set[int]:
    """As `record`, on PostgreSQL, of what was taken and nothing else: by one statement."""
    ordered = sorted(named)  # two workers lock in the same order
    ids, numbers, names = zip(*ordered, strict=True)
    rows = await _SETTLE_TAKEN.rows(tx, id=list_of(ids), number=list_of(numbers), provider_id=list_of(names))
    return {row[0] for row in rows if row[1] is not None}


async def _elsewhere(tx: Tx, ended: Sequence[Change]) -> set[int]:
    """SQLite: one writer at a time, so what is read first still holds when it is written."""
    waiting = await tx.execute(
        select(Delivery.id, Delivery.fence).where(Delivery.id.in_([change.id for change in ended]), WAITS)
    )
    current = {(row.id, row.fence) for row in waiting}
    moving = [change for change in ended if (change.id, change.number) in current]
    if moving:
        await tx.execute(_MOVE, [_values(change) for change in moving])
    await tx.execute(
        _END, [_ending(tx, change, moved=(change.id, change.number) in current) for change in ended]
    )
    return {change.id for change in moving}


_MOVE = (
    update(Delivery)
    .where(Delivery.id == bindparam("row"))
    .values(
        state=bindparam("new_state"),
        reason=bindparam("new_reason"),
        provider_id=func.coalesce(bindparam("new_provider_id"), Delivery.provider_id),
        due_at=func.coalesce(bindparam("new_due_at", type_=Delivery.due_at.type), Delivery.due_at),
        maybe_repeat=bindparam("repeat"),
        tries=Delivery.tries - bindparam("given_back"),
        lease_until=None,
        owner=None,
    )
    .execution_options(synchronize_session=False)
)
_END = (
    update(Attempt)
    .where(Attempt.delivery_id == bindparam("row"), Attempt.number == bindparam("of"))
    .values(
        settled_at=bindparam("at", type_=Attempt.started_at.type),
        outcome=bindparam("ended"),
        reason=bindparam("why"),
        code=bindparam("said"),
        provider_id=bindparam("name"),
        became=bindparam("made"),
    )
    .execution_options(synchronize_session=False)
)


def _values(change: Change) -> dict[str, object]:
    return {
        "row": change.id,
        "new_state": change.state,
        "new_reason": change.reason or None,
        "new_provider_id": change.provider_id or None,
        "new_due_at": change.due_at,
        "repeat": change.maybe_repeat,
        "given_back": 0 if change.spends_try else 1,
    }


def _ending(tx: Tx, change: Change, *, moved: bool) -> dict[str, object]:
    return {
        "row": change.id,
        "of": change.number,
        "at": tx.now,
        "ended": change.outcome,
        "why": change.reason or None,
        "said": change.code or None,
        "name": change.provider_id or None,
        "made": change.state if moved else None,
    }
