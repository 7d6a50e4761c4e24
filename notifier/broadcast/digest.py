"""Digests: one message a day or a week for those who chose it, whatever their wards and addresses.

A run is a row of `runs`, named by its closing hour, with the place it has come to. Each page of people is
one transaction that holds the row: two processes take turns, and one that is killed is followed by another.
A run that was lost is found again, since whatever fell due before the last closing hour still waits.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, bindparam, func, insert, or_, select, tuple_, update

from channels.base import Medium
from notifier.broadcast.notices import GOOD_FOR
from notifier.config import Settings
from notifier.db import Tx
from notifier.delivery.hours import last_closing
from notifier.delivery.record import note_events
from notifier.delivery.wording import VARIABLES
from notifier.models import (
    IS_PENDING,
    Delivery,
    DeliveryState,
    Lane,
    Message,
    MessageState,
    MessageText,
    Notice,
    NoticeKind,
    Run,
    Team,
)
from subscribers.dialects import insert_for
from subscribers.models import ContactPoint, ContactPointState, Frequency, new_id
from templates.languages import ENGLISH

PAGE = 500
TOO_LATE = "its time had passed before the digest"


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one transaction did. done: nothing more is due at this hour."""

    digests: int
    done: bool


@dataclass(frozen=True, kw_only=True)
class _Run:
    """A run under way. after: the message and contact point it has come to."""

    name: str
    frequency: Frequency
    closing: datetime
    made: int
    after: tuple[UUID, UUID] | None

    @property
    def page(self) -> Select[UUID | None, UUID]:
        """The next waiting deliveries, in the order of the index that holds them."""
        place = tuple_(Delivery.message_id, Delivery.contact_point_id)
        after = [place > tuple_(*self.after)] if self.after else []
        return (
            select(Delivery.message_id, Delivery.contact_point_id)
            .where(Delivery.digest == self.frequency, *self._waits, *after)
            .order_by(Delivery.message_id, Delivery.contact_point_id)
            .limit(PAGE)
        )

    def waiting_for(self, points: Collection[UUID]) -> Select[int, UUID | None, UUID, str]:
        """All that waits for these contact points, held until the transaction ends."""
        return (
            select(Delivery.id, Delivery.message_id, Delivery.contact_point_id, Delivery.language)
            .where(
                Delivery.contact_point_id.in_(points),
                # Hidden from the index of what waits: read by people, not through everybody's rows.
                func.coalesce(Delivery.digest, "") == self.frequency,
                *self._waits,
            )
            .order_by(Delivery.id)
            .with_for_update()
        )

    @property
    def _waits(self) -> list[ColumnElement[bool]]:
        """A paused message's deliveries wait for the next run."""
        paused = select(Message.id).where(Message.state == MessageState.PAUSED)
        return [
            IS_PENDING,
            Delivery.digest_notice_id.is_(None),
            Delivery.due_at <= self.closing,
            Delivery.message_id.not_in(paused),
        ]


@dataclass(frozen=True, kw_only=True)
class _Item:
    """One message in one language, as JSON for the template."""

    text: str
    useless_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class _Digest:
    """One person's: the notice, the address it goes to, and the deliveries it stands for."""

    notice: UUID
    contact_point: UUID
    channel: str
    language: str
    key: str
    variables: str
    deliveries: Sequence[int]


async def plan_page(tx: Tx, settings: Settings, *, until: datetime | None = None) -> Step:
    """Plan the digests of at most 500 people; call it again until it is done.

    until: for a run by hand, the hour it closes at. Safe to run twice, and in two processes.
    """
    for frequency in (Frequency.DAILY, Frequency.WEEKLY):
        run = await _take(tx, frequency, settings, until)
        if run is not None:
            return Step(digests=await _page(tx, run, settings), done=False)
    return Step(digests=0, done=True)


async def _take(tx: Tx, frequency: Frequency, settings: Settings, until: datetime | None) -> _Run | None:
    """The run of the last closing hour, held until the transaction ends; None once it has been finished."""
    closing = until or last_closing(frequency, tx.now, settings.zone)
    named = until.isoformat() if until else closing.astimezone(settings.zone).date().isoformat()
    name = f"digest:{frequency}:{named}"
    held = select(Run.finished_at, Run.result).where(Run.name == name)
    row = (await tx.execute(held)).first()
    if row is None:
        await tx.execute(
            insert_for(tx, Run).on_conflict_do_nothing(), {"name": name, "started_at": tx.now, "result": ""}
        )
    if row is None or row.finished_at is None:
        row = (await tx.execute(held.with_for_update())).one()
    if row.finished_at is not None:
        return None
    made, *after = row.result.split() or ["0"]
    place = (UUID(after[0]), UUID(after[1])) if after else None
    return _Run(name=name, frequency=frequency, closing=closing, made=int(made), after=place)


async def _page(tx: Tx, run: _Run, settings: Settings) -> int:
    rows = (await tx.execute(run.page)).all()
    digests = await _gather(tx, run, {row.contact_point_id for row in rows}, settings) if rows else []
    made = await _plan(tx, digests)
    if len(rows) < PAGE:
        values: dict[str, Any] = {"finished_at": tx.now, "result": str(run.made + made)}
    else:
        last = rows[-1]
        values = {"result": f"{run.made + made} {last.message_id} {last.contact_point_id}"}
    await tx.execute(update(Run).where(Run.name == run.name).values(**values))
    return made


async def _gather(tx: Tx, run: _Run, points: Collection[UUID], settings: Settings) -> list[_Digest]:
    """The digests of the people behind these contact points, with all that waits for each of them."""
    whose = select(ContactPoint.subscriber_id).where(ContactPoint.id.in_(points))
    contacts = (
        await tx.execute(
            select(
                ContactPoint.id, ContactPoint.subscriber_id, ContactPoint.medium, ContactPoint.state
            ).where(or_(ContactPoint.id.in_(points), ContactPoint.subscriber_id.in_(whose)))
        )
    ).all()
    rows = (await tx.execute(run.waiting_for([contact.id for contact in contacts]))).all()
    items = await _items(tx, {row.message_id for row in rows}, settings)
    late = [row.id for row in rows if _is_late(items[row.message_id, ENGLISH], tx.now)]
    await _expire(tx, late)
    waiting: dict[UUID, list[Row[Any]]] = {}
    gone = set(late)
    for row in rows:
        if row.id not in gone:
            waiting.setdefault(row.contact_point_id, []).append(row)
    people: dict[UUID, list[Row[Any]]] = {}
    for contact in contacts:
        if contact.id in waiting:
            people.setdefault(contact.subscriber_id or contact.id, []).append(contact)
    return [
        digest
        for person, own in people.items()
        if (digest := _digest(tx, run, person, own, waiting, items)) is not None
    ]


def _digest(
    tx: Tx,
    run: _Run,
    person: UUID,
    contacts: Sequence[Row[Any]],
    waiting: Mapping[UUID, Sequence[Row[Any]]],
    items: Mapping[tuple[UUID, str], _Item],
) -> _Digest | None:
    """One person's digest, by email where they have it; None where no channel reaches them."""
    carried = [contact for contact in contacts if contact.medium in tx.carriers]
    if not carried:
        return None
    best = min(
        carried,
        key=lambda each: (each.state != ContactPointState.ACTIVE, each.medium != Medium.EMAIL, each.id),
    )
    rows = sorted((row for contact in contacts for row in waiting[contact.id]), key=lambda row: row.id)
    language = next((row.language for row in rows if row.language != ENGLISH), ENGLISH)
    chosen = {row.message_id: items[row.message_id, row.language].text for row in rows}
    notice = new_id()
    return _Digest(
        notice=notice,
        contact_point=best.id,
        channel=tx.carriers.channel_for(best.medium, best.id),
        language=language,
        key=f"digest:{person}:{run.name.removeprefix('digest:')}",
        variables=f'{{"items": [{", ".join(chosen.values())}], "frequency": "{run.frequency}"}}',
        deliveries=[row.id for row in rows],
    )


async def _items(tx: Tx, messages: Collection[UUID], settings: Settings) -> dict[tuple[UUID, str], _Item]:
    """(message, language) → its words in a digest."""
    rows = await tx.execute(
        select(
            MessageText.message_id,
            MessageText.language,
            MessageText.title,
            MessageText.body,
            Team.name.label("team"),
            Message.criteria,
            Message.expires_at,
        )
        .join(Message, Message.id == MessageText.message_id)
        .join(Team, Team.id == Message.team_id)
        .where(MessageText.message_id.in_(messages))
    )
    found = {}
    for row in rows:
        areas = row.criteria.get("areas")
        url = f"{settings.public_url}/areas/{areas[0]}" if areas else settings.public_url
        words = {
            "message": str(row.message_id),
            "title": row.title,
            "body": row.body,
            "team_name": row.team,
            "url": url,
        }
        found[row.message_id, row.language] = _Item(text=json.dumps(words), useless_at=row.expires_at)
    return found


def _is_late(item: _Item, now: datetime) -> bool:
    return item.useless_at is not None and item.useless_at <= now


async def _expire(tx: Tx, deliveries: Sequence[int]) -> None:
    """What its author says is of no use any more is left out of the digest."""
    if not deliveries:
        return
    await tx.execute(
        update(Delivery)
        .where(Delivery.id.in_(deliveries), IS_PENDING)
        .values(state=DeliveryState.EXPIRED, reason=TOO_LATE)
    )
    await note_events(tx, deliveries, DeliveryState.EXPIRED, TOO_LATE, state=DeliveryState.EXPIRED)


async def _plan(tx: Tx, digests: Sequence[_Digest]) -> int:
    """Write notices, their deliveries, and on each gathered delivery the notice it goes in; how many.

    Who has had this run's digest already gets no second: what came in meanwhile waits for the next.
    """
    if not digests:
        return 0
    notices = insert_for(tx, Notice).on_conflict_do_nothing(index_elements=["dedupe_key"])
    stored = await tx.execute(notices.returning(Notice.id), [_notice(tx, digest) for digest in digests])
    new = set(stored.scalars())
    planned = [digest for digest in digests if digest.notice in new]
    if not planned:
        return 0
    await tx.execute(insert(Delivery), [_delivery(tx, digest) for digest in planned])
    await tx.execute(
        update(Delivery)
        .where(Delivery.id == bindparam("row"))
        .values(digest_notice_id=bindparam("within"))
        .execution_options(synchronize_session=False),
        [{"row": row, "within": digest.notice} for digest in planned for row in digest.deliveries],
    )
    tx.on_commit("wake", lane=Lane.BULLETIN.name.lower())
    return len(planned)


def _notice(tx: Tx, digest: _Digest) -> dict[str, Any]:
    return {
        "id": digest.notice,
        "contact_point_id": digest.contact_point,
        "kind": NoticeKind.DIGEST,
        "template": "digest",
        "language": digest.language,
        "variables_sealed": tx.keys.seal(VARIABLES, digest.notice, digest.variables),
        "dedupe_key": digest.key,
        "created_at": tx.now,
    }


def _delivery(tx: Tx, digest: _Digest) -> dict[str, Any]:
    return {
        "notice_id": digest.notice,
        "contact_point_id": digest.contact_point,
        "channel": digest.channel,
        "language": digest.language,
        "lane": Lane.BULLETIN,
        "state": DeliveryState.PENDING,
        "due_at": tx.now,
        "expires_at": tx.now + GOOD_FOR,
    }
