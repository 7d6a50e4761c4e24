"""What the tests about replies share: a world, texts and mails that come in, and what became of them."""

import itertools
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from channels.base import Incoming, Medium
from notifier import config
from notifier.broadcast import approve, draft, plan
from notifier.config import Settings
from notifier.db import Database, Tx
from notifier.delivery.tokens import reply_address
from notifier.inbox import receive, view
from notifier.inbox.handle import Handled, handle
from notifier.inbox.resolvers import DEFAULT_RESOLVERS
from notifier.inbox.view import ConversationView
from notifier.models import (
    Delivery,
    IncomingRow,
    Notice,
    Officer,
)
from subscribers.models import ContactPoint, new_id
from tests.world import World, make_people, make_places, ward

DOMAIN = "replies.example"
SHARED_NUMBER = "+447700900800"  # of no team: what the service sends from by default
_numbers = itertools.count(1)


def settings() -> Settings:
    return config.build(
        {
            "NOTIFIER_MAIL_DOMAIN": DOMAIN,
            "NOTIFIER_SMS_NUMBERS": SHARED_NUMBER,
            "NOTIFIER_BASE_URL": "https://link.example",
        }
    ).settings


async def make_world(db: Database, people: int = 6, **kind: object) -> World:
    async with db.transaction() as tx:
        world = await make_places(tx)
        await make_people(tx, world, people, **kind)  # type: ignore[arg-type]
    return world


async def make_officer(db: Database, name: str = "PC Ann Lee") -> UUID:
    made = new_id()
    async with db.transaction() as tx:
        await tx.execute(
            Officer.__table__.insert().values(  # type: ignore[attr-defined]
                id=made,
                email_sealed=tx.keys.seal("officers.email", made, f"{made}@force.example"),
                email_hash=made.bytes * 2,
                name=name,
                password_hash="none",
                created_at=tx.now,
            )
        )
    return made


async def publish(db: Database, world: World, *, team: int = 0, wards: Sequence[int] = (0, 1)) -> UUID:
    """A message of one team, planned; nothing is sent."""
    async with db.transaction() as tx:
        words = draft.Draft(
            kind="priority_update",
            texts={"en": ("Patrols tonight", "We will be in the park from 6pm.")},
            areas=tuple(ward(i) for i in wards),
            media=("email", "sms"),
        )
        message = await draft.save(tx, words, team=world.teams[team], author=None)
        await approve.approve(tx, message, team=world.teams[team], officer=None)
    done = False
    while not done:
        async with db.transaction() as tx:
            done = await plan.plan_page(tx, message)
    return message


async def delivery_to(db: Database, contact_point: UUID, *, notice: UUID | None = None) -> int:
    """The newest delivery to a contact point (of that notice)."""
    newest = select(Delivery.id).where(Delivery.contact_point_id == contact_point)
    if notice is not None:
        newest = newest.where(Delivery.notice_id == notice)
    async with db.transaction() as tx:
        found: int = await tx.scalar(newest.order_by(Delivery.id.desc()).limit(1))
    return found


async def reply_to(db: Database, contact_point: UUID) -> str:
    """The reply address of the newest delivery to a contact point."""
    return reply_address(db.keys, await delivery_to(db, contact_point), DOMAIN)


def mail(
    *,
    sender: str,
    to: str = f"desk@{DOMAIN}",
    text: str = "Thank you, I will come.",
    subject: str = "Re: Patrols tonight",
    headers: str = "",
) -> bytes:
    """A plain mail; headers: further lines, each ending in a line feed."""
    number = next(_numbers)
    lines = (
        f"From: {sender}\nTo: {to}\nSubject: {subject}\nMessage-ID: <m{number}@mail.example>\n"
        f"{headers}Content-Type: text/plain; charset=utf-8\n\n{text}\n"
    )
    return lines.replace("\n", "\r\n").encode()


async def store_text(db: Database, sender: str, text: str, to: str = SHARED_NUMBER) -> UUID:
    """A text that came in by a channel's hook, stored and not yet handled."""
    event = Incoming(
        event_id=f"SM{next(_numbers):032x}",
        medium=Medium.SMS,
        sender=sender,
        recipient=to,
        text=text,
        at=None,
        raw=b"the whole call",
    )
    async with db.transaction() as tx:
        return (await receive.store(tx, "sms_twilio", event)).id


async def store_mail(
    db: Database, raw: bytes, *, mail_from: str | None = None, to: Sequence[str] = ()
) -> UUID:
    async with db.transaction() as tx:
        event = receive.mail_event(raw, mail_from=mail_from, recipients=to)
        return (await receive.store(tx, receive.MAIL, event)).id


async def handled(db: Database, incoming: UUID) -> Handled:
    async with db.transaction() as tx:
        done = await handle(tx, incoming, DEFAULT_RESOLVERS, settings())
    assert done is not None
    return done


async def text_in(db: Database, sender: str, text: str, to: str = SHARED_NUMBER) -> Handled:
    """A text, stored and handled."""
    return await handled(db, await store_text(db, sender, text, to))


async def mail_in(
    db: Database, raw: bytes, *, mail_from: str | None = None, to: Sequence[str] = ()
) -> Handled:
    """A mail, stored and handled."""
    return await handled(db, await store_mail(db, raw, mail_from=mail_from, to=to))


async def seen(db: Database, done: Handled) -> ConversationView:
    """The conversation a message was put into, as an officer with oversight sees it."""
    assert done.conversation is not None
    async with db.transaction(read_only=True) as tx:
        found = await view.conversation(tx, done.conversation, None)
    assert found is not None
    return found


async def told(db: Database, contact_point: UUID) -> list[str]:
    """Templates of the notices planned for a contact point, oldest first."""
    async with db.transaction(read_only=True) as tx:
        rows = select(Notice.template).where(Notice.contact_point_id == contact_point).order_by(Notice.id)
        return list((await tx.execute(rows)).scalars())


async def point_of(tx: Tx, medium: Medium, address: str) -> UUID | None:
    found: UUID | None = await tx.scalar(
        select(ContactPoint.id).where(
            ContactPoint.medium == medium, ContactPoint.address_hash == tx.keys.address_hash(medium, address)
        )
    )
    return found


def phone(world: World, person: int = 0) -> str:
    return world.addresses[world.points[world.subscribers[person], "sms"]]


def email(world: World, person: int = 0) -> str:
    return world.addresses[world.points[world.subscribers[person], "email"]]


async def kept(db: Database) -> list[Any]:
    """What came in, the oldest first."""
    async with db.transaction(read_only=True) as tx:
        return list((await tx.execute(select(IncomingRow).order_by(IncomingRow.received_at))).all())


async def count(db: Database, table: type) -> int:
    async with db.transaction(read_only=True) as tx:
        found: int = await tx.scalar(select(func.count()).select_from(table))
    return found


async def state_of(db: Database, point: object) -> str:
    async with db.transaction(read_only=True) as tx:
        found: str = await tx.scalar(select(ContactPoint.state).where(ContactPoint.id == point))
    return found
