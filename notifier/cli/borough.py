"""The fictional borough of the demo: places, teams, people, messages, replies, consultations.

Nothing here is real: postcodes in an area that was never assigned, numbers that Ofcom keeps for drama,
addresses under `.example`. Everything goes in by the doors real things use.
"""

import base64
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from uuid import UUID
from zoneinfo import ZoneInfo

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import insert, select, update

from channels.base import Incoming, Medium
from channels.push_address import Subscription
from notifier.broadcast import approve, draft
from notifier.cli.borough_words import (
    BOROUGH,
    CLOSED,
    FIRST_NAMES,
    MESSAGES,
    OPEN,
    PRIORITIES,
    REPLIES,
    TEAMS,
    WARDS,
    Reply,
    Written,
)
from notifier.consultation import register
from notifier.db import Tx
from notifier.delivery.tokens import reply_address
from notifier.inbox import receive
from notifier.inbox.places import central_triage
from notifier.models import Delivery, Message, Officer, Role, WardPriority
from notifier.runtime import Service
from notifier.staff import officers, passwords, teams
from notifier.staff.demo import PASSWORD
from notifier.staff.teams import TeamPlan
from subscribers import consent, contact_points, subscriptions
from subscribers.consent import Choices
from subscribers.models import (
    Area,
    AreaKind,
    ContactPoint,
    Frequency,
    LeastPriority,
    Postcode,
    new_id,
)
from subscribers.topics import ensure_topics, topic_slugs

BOROUGH_CODE = "E09999001"
# The accounts of its teams besides those on the first network; {} is the team's number.
ACCOUNTS = {
    "social_mastodon": "@queensvale{}@social.queensvale.example",
    "social_bluesky": "team{}.queensvale.example",
}
PEOPLE = 200
SIGN_INS = (
    ("sergeant@queensvale.example", "Sgt Priya Nair", Role.SERGEANT, 0),
    ("officer@queensvale.example", "PC Tom Reid", Role.OFFICER, 0),
    ("canalside@queensvale.example", "Sgt Aled Morgan", Role.SERGEANT, 1),
    ("coordinator@queensvale.example", "Insp Grace Okafor", Role.COORDINATOR, None),
    ("central@queensvale.example", "Sam Whitfield", Role.CENTRAL, None),
)


@dataclass
class Seeded:
    """What was made. messages: by their key in `borough_words`."""

    teams: list[UUID] = field(default_factory=list)
    messages: dict[str, UUID] = field(default_factory=dict)


def ward_code(number: int) -> str:
    return f"E0599900{number + 1}"


async def is_seeded(tx: Tx) -> bool:
    """Does the borough stand already?"""
    return await tx.scalar(select(Area.code).where(Area.code == BOROUGH_CODE)) is not None


async def settle(service: Service) -> Seeded:
    """Places, teams, officers, people and messages, the messages approved but not yet planned."""
    seeded = Seeded()
    hashed = await passwords.hashed(PASSWORD)
    async with service.db.transaction() as tx:
        await _places(tx)
        await _teams(tx, seeded)
        await _officers(tx, seeded, hashed)
    async with service.db.transaction() as tx:
        await _people(tx)
    async with service.db.transaction() as tx:
        await _consultations_and_priorities(tx, seeded)
    async with service.db.transaction() as tx:
        for written in MESSAGES:
            await _message(tx, seeded, written)
    return seeded


async def reply(service: Service, seeded: Seeded) -> list[UUID]:
    """Residents write back to what they got; the ids of what was stored, still to be routed."""
    async with service.db.transaction() as tx:
        return [await _reply(tx, service, seeded, each) for each in REPLIES]


async def age(tx: Tx, seeded: Seeded) -> None:
    """Let the messages look as old as the borough's story says."""
    for written in MESSAGES:
        if written.days_ago:
            at = _day(tx, -written.days_ago, hour=10)
            await tx.execute(
                update(Message)
                .where(Message.id == seeded.messages[written.key])
                .values(created_at=at, published_at=at)
            )


async def _places(tx: Tx) -> None:
    await ensure_topics(tx)
    await tx.execute(
        insert(Area), {"code": BOROUGH_CODE, "kind": AreaKind.BOROUGH, "name": BOROUGH, "served": True}
    )
    wards = [
        {
            "code": ward_code(i),
            "kind": AreaKind.WARD,
            "name": name,
            "parent_code": BOROUGH_CODE,
            "served": True,
        }
        for i, name in enumerate(WARDS)
    ]
    await tx.execute(insert(Area), wards)
    await tx.execute(insert(Postcode), [row for i in range(len(WARDS)) for row in _postcodes(i)])


def _postcodes(ward: int) -> list[dict[str, object]]:
    """Thirty postcodes a ward: `QV1 1AA` and on; the last one is no longer used."""
    pairs = [a + b for a in "ABDEF" for b in "ABDEFG"]
    return [
        {
            "postcode": f"QV{ward + 1} {number % 9 + 1}{pair}",
            "ward_code": ward_code(ward),
            "borough_code": BOROUGH_CODE,
            "introduced": "1980-01",
            "terminated": "2019-06" if number == len(pairs) - 1 else None,
            "vintage": "2026-11",
        }
        for number, pair in enumerate(pairs)
    ]


async def _teams(tx: Tx, seeded: Seeded) -> None:
    for number, name in enumerate(TEAMS):
        made, _ = await teams.save(
            tx,
            TeamPlan(
                name=name,
                area_codes=(ward_code(number * 2), ward_code(number * 2 + 1)),
                addresses=(
                    ("email", f"team{number + 1}@queensvale.example"),
                    ("sms", f"+44770090099{number + 1}"),
                    ("social", f"queensvale{number + 1}"),
                ),
            ),
        )
        for carrier in tx.carriers.all_of(Medium.SOCIAL):
            if account := ACCOUNTS.get(carrier.channel):
                spelt = account.format(number + 1)
                await teams.add_address(tx, made, Medium.SOCIAL, spelt, channel=carrier.channel)
        seeded.teams.append(made)
    await central_triage(tx)


async def _officers(tx: Tx, seeded: Seeded, hashed: str) -> None:
    for email, name, role, team in SIGN_INS:
        where = None if team is None else seeded.teams[team]
        await officers.add(
            tx, email=email, name=name, password_hash=hashed, role=role, team=where, actor="command"
        )


async def _people(tx: Tx) -> None:
    """People as different as people are: one medium or two, two wards, digests, Welsh, only the pressing."""
    chance = random.Random(2026)  # noqa: S311 - the same borough every time
    topics = await topic_slugs(tx)
    for number in range(PEOPLE):
        home = number % len(WARDS)
        areas = [ward_code(home)]
        if number % 7 == 0:
            areas.append(ward_code((home + 2) % len(WARDS)))
        choices = Choices(
            area_codes=tuple(areas),
            topics=tuple(topics) if number % 4 else tuple(chance.sample(list(topics), 3)),
            language="cy" if number % 20 == 3 else "en",
            least_priority=LeastPriority.EVERYTHING if number % 5 else LeastPriority.PRIORITY,
            frequency=Frequency.WEEKLY if number % 10 == 9 else Frequency.AT_ONCE,
            name=FIRST_NAMES[number % len(FIRST_NAMES)],
            postcode=f"QV{home + 1} 1AA",
        )
        for medium, address in _addresses(number):
            contact = await contact_points.ensure(tx, medium, address)
            known = await contact_points.find(tx, "email", f"resident{number}@mail.example")
            owner = known.subscriber if known else None
            wish = choices if owner is None else replace(choices, subscriber=owner)
            await subscriptions.confirm(
                tx, contact, wish, wording=consent.WORDING, source="demo", actor="subscriber"
            )


def _addresses(number: int) -> Sequence[tuple[str, str]]:
    email, phone = ("email", f"resident{number}@mail.example"), ("sms", f"+447700900{number:03d}")
    found = [(email,), (email, phone), (phone,), (email, phone)][number % 4]
    return (*found, ("push", _device(number))) if number % 7 == 1 and number % 4 != 2 else found


def _device(number: int) -> str:
    """A browser that is nobody's. Its keys are no secret, so that a stand-in can show what it would."""
    key = ec.derive_private_key(1000 + number, ec.SECP256R1()).public_key()
    octets = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    point, auth = (base64.urlsafe_b64encode(each).decode().rstrip("=") for each in (octets, bytes(16)))
    endpoint = f"https://updates.push.services.mozilla.com/wpush/v2/resident{number}"
    return str(Subscription(endpoint=endpoint, p256dh=point, auth=auth))


async def _consultations_and_priorities(tx: Tx, seeded: Seeded) -> None:
    for planned in (OPEN, CLOSED):
        made = await register.announce(
            tx,
            register.Plan(
                team=seeded.teams[0],
                area_code=ward_code(0),
                title=planned.title,
                purpose=planned.purpose,
                decision_to_inform=planned.decision_to_inform,
                decision_maker=planned.decision_maker,
                cannot_change=planned.cannot_change,
                opens=_day(tx, -planned.opened_days_ago),
                closes=_day(tx, planned.closes_in_days),
                feedback_by=_day(tx, planned.closes_in_days + 30),
            ),
        )
        seeded.messages[f"consultation:{planned.key}"] = made
        if planned.feedback is not None:
            await register.give_feedback(tx, made, register.Feedback(**planned.feedback))
    rows = [
        {
            "id": new_id(),
            "area_code": ward_code(ward),
            "title": title,
            "state": "done" if did else "open",
            "agreed_on": _day(tx, -days),
            "asked": asked,
            "you_said": said,
            "we_did": did,
        }
        for ward, title, days, asked, said, did in PRIORITIES
    ]
    await tx.execute(insert(WardPriority), rows)


async def _message(tx: Tx, seeded: Seeded, written: Written) -> None:
    about = seeded.messages.get(f"consultation:{written.consultation}") if written.consultation else None
    media = tuple(m for m in written.media if m in tx.carriers)
    author = await tx.scalar(select(Officer.id).where(Officer.name == SIGN_INS[0][1]))
    made = await draft.save(
        tx,
        draft.Draft(
            kind=written.kind,
            texts=written.texts,
            areas=tuple(ward_code(ward) for ward in written.wards),
            media=media,
            topics=written.topics,
            reply_by=_day(tx, OPEN.closes_in_days) if written.kind == "consultation" else None,
            send_at=_day(tx, 1, hour=18) if written.is_scheduled else None,
            consultation_id=about,
        ),
        team=seeded.teams[written.team],
        author=author,
    )
    seeded.messages[written.key] = made
    if not written.is_draft:
        await approve.approve(tx, made, team=seeded.teams[written.team], officer=author)


def _day(tx: Tx, days: int, *, hour: int = 17) -> datetime:
    """An hour of a day so many days from now, in London."""
    local = tx.now.astimezone(ZoneInfo("Europe/London")) + timedelta(days=days)
    return local.replace(hour=hour, minute=0, second=0, microsecond=0).astimezone(UTC)


async def _reply(tx: Tx, service: Service, seeded: Seeded, written: Reply) -> UUID:
    person = await contact_points.find(tx, written.medium, written.sender)
    if written.medium == "sms":
        stored = await receive.store(
            tx,
            "outbox",
            Incoming(
                event_id=f"demo-{new_id().hex}",
                medium=Medium.SMS,
                sender=written.sender,
                recipient=f"+44770090099{written.team + 1}",
                text=written.text,
                at=None,
                raw=written.text.encode(),
            ),
        )
        return stored.id
    delivery = await tx.scalar(
        select(Delivery.id)
        .join(ContactPoint, ContactPoint.id == Delivery.contact_point_id)
        .where(
            Delivery.message_id == seeded.messages.get(written.to_message),
            ContactPoint.id == (person.id if person else None),
        )
    )
    domain = service.settings.mail_domain
    mail = EmailMessage()
    mail["From"] = written.sender
    mail["To"] = reply_address(tx.keys, delivery, domain) if delivery else f"hello@{domain}"
    mail["Subject"] = written.subject
    mail["Message-ID"] = f"<{new_id().hex}@mail.example>"
    mail.set_content(written.text)
    stored = await receive.store(tx, "email", receive.mail_event(mail.as_bytes()))
    return stored.id
