"""Takes rows off the ledger: `claim` leases what is due, in fair shares (commit point C3).

A short transaction without network. A row is claimed under a lease and a fence; whoever comes later with an
older fence changes nothing. What is leased may be given back at any time. Called by `notifier.worker`.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain, zip_longest
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    CTE,
    BindParameter,
    ColumnElement,
    DateTime,
    Executable,
    Integer,
    Select,
    String,
    Uuid,
    all_,
    bindparam,
    column,
    func,
    literal,
    select,
    true,
    union_all,
    update,
)

from notifier.db import Tx
from notifier.delivery.fast import POSTGRESQL, Shape, given, is_one_of
from notifier.delivery.record import note_events
from notifier.delivery.shares import closed, live, shares
from notifier.models import IS_IN_FLIGHT, IS_PENDING, Delivery, DeliveryState, Lane, Notice
from subscribers.contact_points import ADDRESS
from subscribers.models import ContactPoint, Subscriber, UTCDateTime
from subscribers.signing import CannotOpen

LEASES = {Lane.URGENT: timedelta(seconds=10)}
BULK_LEASE, LEAST_LEASE = timedelta(seconds=60), timedelta(seconds=1)
UNREADABLE = "its address cannot be opened"


class Claimed(NamedTuple):
    """A row under our lease, with everything about it that does not change: all the way to its settle.

    channel, address (hence the mail domain), message_id, team_id and lane are what pacing, breaker and
    spending go by. tries: the one it is claimed for counted. team_id: of the message or notice.
    """

    id: int
    fence: int
    channel: str
    medium: str
    address: str
    language: str
    lane: Lane
    tries: int
    checks: int
    maybe_repeat: bool
    expires_at: datetime
    contact_point_id: UUID
    link_version: int
    message_id: UUID | None
    notice_id: UUID | None
    team_id: UUID | None

    @property
    def number(self) -> int:
        """Of the attempt: the claim's fence."""
        return self.fence

    @property
    def is_notice(self) -> bool:
        """Not a message's."""
        return self.notice_id is not None


class PutBack(Protocol):
    """A row that may not start now, when it may be looked at again, and why in words."""

    @property
    def id(self) -> int: ...
    @property
    def due_at(self) -> datetime: ...
    @property
    def reason(self) -> str: ...


async def claim(
    tx: Tx,
    lane: Lane,
    limit: int,
    owner: str,
    *,
    factor: float = 1.0,
    turn: int = 0,
    without: Collection[str] = (),
    lately: Collection[UUID] = (),
) -> list[Claimed]:
    """Lease up to `limit` due rows of a lane; rows another worker holds are passed over.

    Teams get equal shares, each the oldest of its own; `turn` says whose turn it is. Nothing is taken of a
    message that is not sending, of a held team, nor for a channel that is held, shut, or named by `without`.
    lately: messages of which the claim before took rows; whether they have more due is not asked first.
    Crash after it: the lease runs out.
    """
    shut = await closed(tx)
    if shut.system:
        return []
    found = await live(tx, lane, shut, lately)
    parts = shares(found, limit, turn)
    if not parts:
        return []
    given = {
        "lane": int(lane),
        "now": tx.now,
        "until": tx.now + lease_of(lane, factor),
        "owner": owner,
        "shut": [*shut.channels, *without],
    }
    take = _on_postgresql if tx.dialect == POSTGRESQL else _elsewhere
    rows = await take(tx, parts, given)
    readable, unreadable = _opened(tx, lane, rows, {each.message: each.team for each in found})
    await hold(tx, [row.id for row in unreadable], owner, UNREADABLE)
    return in_turns(readable)


def lease_of(lane: Lane, factor: float) -> timedelta:
    """How long a claimed row is its worker's. A drill shortens it, though no machine is quicker for that. Pure."""
    return max(LEASES.get(lane, BULK_LEASE) * factor, LEAST_LEASE)


async def put_back(tx: Tx, back: Collection[PutBack], owner: str) -> None:
    """Rows leased by `owner` that may not start now are pending again, each due at its time. No try is spent."""
    for due_at, reason in {(each.due_at, each.reason) for each in back}:
        ids = [each.id for each in back if (each.due_at, each.reason) == (due_at, reason)]
        await tx.execute(
            update(Delivery)
            .where(Delivery.id.in_(ids), *_leased_by(owner))
            .values(_PENDING_AGAIN | {"due_at": due_at, "reason": reason[:200]})
        )


async def hold(tx: Tx, ids: Collection[int], owner: str, reason: str) -> None:
    """Rows leased by `owner` that can never be sent as they are: a person must mend them."""
    if not ids:
        return
    held = await tx.execute(
        update(Delivery)
        .where(Delivery.id.in_(list(ids)), *_leased_by(owner))
        .values(state=DeliveryState.HELD, reason=reason[:200], lease_until=None, owner=None)
        .returning(Delivery.id)
    )
    await note_events(tx, held.scalars().all(), "held", reason, state=DeliveryState.HELD)


async def release(tx: Tx, owner: str, ids: Collection[int] | None = None) -> int:
    """Give back what this worker leased and did not start: all of it at an orderly stop, or these rows."""
    these = [Delivery.id.in_(list(ids))] if ids is not None else []
    given = await tx.execute(
        update(Delivery).where(IS_IN_FLIGHT, *_leased_by(owner), *these).values(_PENDING_AGAIN)
    )
    return given.rowcount


async def renew(tx: Tx, owner: str, lane: Lane, ids: Collection[int], *, factor: float = 1.0) -> None:
    """Prolong the leases of these rows, where they are still ours and not started: the worker lives."""
    if ids:
        until = tx.now + lease_of(lane, factor)
        await _RENEW.rows(tx, ids=list(ids), holder=owner, until=until)


def in_turns(rows: Sequence[Claimed]) -> list[Claimed]:
    """Team by team, one row each in turn: at any moment all have got about as far. Pure."""
    teams: dict[UUID | None, list[Claimed]] = {}
    for row in rows:
        teams.setdefault(row.team_id if row.message_id else None, []).append(row)
    if len(teams) == 1:
        return list(rows)
    return [row for row in chain.from_iterable(zip_longest(*teams.values())) if row is not None]


# --- the statements ------------------------------------------------------------------------------

_PENDING_AGAIN: dict[str, Any] = {"state": DeliveryState.PENDING, "lease_until": None, "owner": None}


def _leased_by(owner: str | BindParameter[str]) -> tuple[ColumnElement[bool], ...]:
    return Delivery.state == DeliveryState.LEASED, Delivery.owner == owner


def _due(of: str) -> Select[*tuple[Any, ...]]:
    """Ids of due rows of a lane, in the order of their index; the message is the caller's to name."""
    if of == POSTGRESQL:
        is_open: ColumnElement[bool] = Delivery.channel != all_(given("shut", ARRAY(String)))
    else:
        is_open = Delivery.channel.not_in(bindparam("shut", expanding=True))
    return (
        select(Delivery.id)
        .where(
            IS_PENDING,
            Delivery.digest.is_(None),
            Delivery.lane == given("lane", Integer),
            Delivery.due_at <= given("now", DateTime(timezone=True)),
            is_open,
        )
        .order_by(Delivery.lane, Delivery.due_at, Delivery.id)
    )


def _lease(picked: ColumnElement[bool]) -> Any:
    return (
        update(Delivery)
        .where(picked, IS_PENDING)
        .values(
            state=DeliveryState.LEASED,
            lease_until=given("until", Delivery.lease_until.type),
            owner=given("owner", String),
            fence=Delivery.fence + 1,
        )
        .execution_options(synchronize_session=False)
    )


def _with_address(row: Any) -> Select[*tuple[Any, ...]]:
    """What `Claimed` holds, in its order, the address still sealed. team_id: of a notice."""
    return (
        select(
            row.id,
            row.fence,
            row.channel,
            ContactPoint.medium,
            ContactPoint.address_sealed,
            row.language,
            row.lane,
            row.tries + 1,
            row.checks,
            row.maybe_repeat,
            row.expires_at,
            row.contact_point_id,
            func.coalesce(Subscriber.link_version, 0).label("link_version"),
            row.message_id,
            row.notice_id,
            Notice.team_id,
        )
        .join(ContactPoint, ContactPoint.id == row.contact_point_id)
        .outerjoin(Subscriber, Subscriber.id == ContactPoint.subscriber_id)
        .outerjoin(Notice, Notice.id == row.notice_id)
        .order_by(row.id)
    )


def _each_with_address(row: CTE) -> Select[*tuple[Any, ...]]:
    """The same, looked up row by row: whatever the planner thinks of their number, it reads no table as a whole."""
    link_version = (
        select(Subscriber.link_version).where(Subscriber.id == ContactPoint.subscriber_id).scalar_subquery()
    )
    point = (
        select(
            ContactPoint.medium,
            ContactPoint.address_sealed,
            func.coalesce(link_version, 0).label("link_version"),
        )
        .where(ContactPoint.id == row.c.contact_point_id)
        .offset(literal(0, literal_execute=True))
        .lateral("point")
    )
    of_notice = select(Notice.team_id).where(Notice.id == row.c.notice_id).scalar_subquery()
    c = row.c
    return (
        select(
            c.id,
            c.fence,
            c.channel,
            point.c.medium,
            point.c.address_sealed,
            c.language,
            c.lane,
            c.tries + 1,
            c.checks,
            c.maybe_repeat,
            c.expires_at,
            c.contact_point_id,
            point.c.link_version,
            c.message_id,
            c.notice_id,
            of_notice.label("team_id"),
        )
        .select_from(row)
        .join(point, true())
        .order_by(c.id)
    )


def _claim(of: str) -> Executable:
    part = (
        func.unnest(given("messages", ARRAY(Uuid)), given("shares", ARRAY(Integer)))
        .table_valued(column("message", Uuid), column("most", Integer))
        .render_derived("part")
    )
    of_message = (
        _due(of)
        .where(Delivery.message_id == part.c.message)
        .limit(part.c.most)
        .with_for_update(skip_locked=True)
        .lateral("of_message")
    )
    of_house = (
        _due(of)
        .where(Delivery.message_id.is_(None))
        .limit(given("notices", Integer))
        .with_for_update(skip_locked=True)
        .subquery("of_house")
    )
    picked = union_all(
        select(of_message.c.id).select_from(part).join(of_message, true()), select(of_house.c.id)
    ).cte("picked")
    picked = picked.prefix_with("MATERIALIZED")  # or the planner may lock more rows than it takes
    leased = _lease(Delivery.id.in_(select(picked.c.id))).returning(Delivery).cte("leased")
    return _each_with_address(leased)


def _renew(of: str) -> Executable:
    ours = select(Delivery.id).where(is_one_of(Delivery.id, "ids", of), *_leased_by(given("holder", String)))
    return (
        update(Delivery)
        .where(Delivery.id.in_(ours.with_for_update(skip_locked=True)))  # one being marked needs none
        .values(lease_until=given("until", UTCDateTime()))
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    )


_CLAIM, _RENEW = Shape(_claim), Shape(_renew)
_CONTEXT = Shape(lambda of: _with_address(Delivery).where(is_one_of(Delivery.id, "ids", of)))


async def _on_postgresql(
    tx: Tx, parts: Sequence[tuple[UUID | None, int]], given: dict[str, Any]
) -> Sequence[Any]:
    messages = [(message, most) for message, most in parts if message]
    return await _CLAIM.rows(
        tx,
        messages=[message for message, _ in messages],
        shares=[most for _, most in messages],
        notices=sum(most for message, most in parts if message is None),
        **given,
    )


async def _elsewhere(
    tx: Tx, parts: Sequence[tuple[UUID | None, int]], given: dict[str, Any]
) -> Sequence[Any]:
    ids: list[int] = []
    wanted = {name: given[name] for name in ("lane", "now", "shut")}
    for message, most in parts:
        found = _due(tx.dialect).where(Delivery.message_id == message).limit(most)
        ids += (await tx.execute(found, wanted)).scalars().all()
    if not ids:
        return []
    await tx.execute(_lease(Delivery.id.in_(ids)), {"until": given["until"], "owner": given["owner"]})
    return await _CONTEXT.rows(tx, ids=ids)


def _opened(
    tx: Tx, lane: Lane, rows: Sequence[Any], teams: Mapping[UUID | None, UUID | None]
) -> tuple[list[Claimed], list[Any]]:
    """Rows with their addresses opened, and those whose address does not open. teams: message → its team."""
    readable, unreadable = [], []
    open_text = tx.keys.open_text
    for row in rows:
        # In the order of `_with_address`.
        (
            id_, fence, channel, medium, sealed, language, _, tries, checks, repeat, expires, point, version,
            message, notice, team,
        ) = row  # fmt: skip
        try:
            address = open_text(ADDRESS, point, sealed)
        except (CannotOpen, UnicodeError):
            unreadable.append(row)
            continue
        team = team if message is None else teams[message]
        readable.append(
            Claimed(
                id_, fence, channel, medium, address, language, lane, tries, checks, repeat, expires, point,
                version, message, notice, team,
            )
        )  # fmt: skip
    return readable, unreadable
