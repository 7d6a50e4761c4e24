"""What becomes of a mail: machines are filed, bounces and complaints count, letters find their thread."""

import pytest
from sqlalchemy import select

from notifier.db import Database
from notifier.delivery.tokens import bounce_address, delivery_token
from notifier.inbox import receive
from notifier.models import (
    Conversation,
    Delivery,
    IncomingKind,
    IncomingRow,
    IncomingState,
    Notice,
)
from subscribers.models import ContactPointState
from tests.integration.replies import (
    DOMAIN,
    count,
    delivery_to,
    email,
    mail,
    mail_in,
    make_world,
    publish,
    reply_to,
    seen,
    state_of,
    told,
)


@pytest.mark.parametrize(
    "headers",
    [
        "Auto-Submitted: auto-replied\n",
        "X-Autoreply: yes\n",
        "Precedence: bulk\n",
        "X-Auto-Response-Suppress: All\n",
        "Return-Path: <>\n",
        "List-Id: <residents.example>\n",
        f"X-Loop: {DOMAIN}\n",
    ],
)
async def test_what_a_machine_wrote_is_filed_and_never_answered(db: Database, headers: str) -> None:
    world = await make_world(db)
    await publish(db, world)
    point = world.points[world.subscribers[0], "email"]
    done = await mail_in(db, mail(sender=email(world), to=await reply_to(db, point), headers=headers))
    assert (done.state, done.kind) == (IncomingState.FILED, IncomingKind.AUTO_REPLY)
    assert await count(db, Conversation) == 0
    assert await count(db, Notice) == 0


async def test_a_vacation_that_answers_a_hundred_times_gets_nothing(db: Database) -> None:
    world = await make_world(db, 1)
    for _ in range(100):
        await mail_in(
            db, mail(sender=email(world), subject="Out of office", headers="Auto-Submitted: auto-replied\n")
        )
    assert (await count(db, Notice), await count(db, Conversation)) == (0, 0)


def report(*, status: str, action: str = "failed", about: str = "") -> bytes:
    returned = f"\n--x\nContent-Type: text/rfc822-headers\n\nMessage-ID: {about}\n" if about else "\n"
    return (
        "From: MAILER-DAEMON@mx.example\nTo: bounce@replies.example\nSubject: Undeliverable\n"
        'Message-ID: <r1@mx.example>\nMIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary="x"\n\n'
        "--x\nContent-Type: text/plain\n\nIt could not be delivered.\n"
        "--x\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\n\n"
        f"Final-Recipient: rfc822; person0@mail.example\nAction: {action}\nStatus: {status}\n{returned}--x--\n"
    ).encode()


@pytest.mark.parametrize(
    ("status", "action", "delivery", "point"),
    [
        ("5.1.1", "failed", "bounced", ContactPointState.BOUNCED),
        ("5.7.26", "failed", "bounced", ContactPointState.ACTIVE),
        ("5.2.2", "failed", "bounced", ContactPointState.ACTIVE),
        ("4.4.1", "delayed", "pending", ContactPointState.ACTIVE),
    ],
)
async def test_a_bounce_changes_the_delivery_its_return_path_names(
    db: Database, status: str, action: str, delivery: str, point: ContactPointState
) -> None:
    world = await make_world(db, 1)
    await publish(db, world)
    at = world.points[world.subscribers[0], "email"]
    named = bounce_address(db.keys, await delivery_to(db, at), DOMAIN).upper()
    done = await mail_in(db, report(status=status, action=action), mail_from="", to=[named])
    assert (done.state, done.kind) == (IncomingState.FILED, IncomingKind.BOUNCE)
    async with db.transaction() as tx:
        found = await tx.scalar(select(Delivery.state).where(Delivery.contact_point_id == at))
    assert (found, await state_of(db, at)) == (delivery, point)
    assert await count(db, Conversation) == 0


async def test_a_bounce_without_our_return_path_is_known_by_the_message_it_returns(db: Database) -> None:
    world = await make_world(db, 1)
    await publish(db, world)
    at = world.points[world.subscribers[0], "email"]
    about = f"<d.{delivery_token(db.keys, await delivery_to(db, at))}@{DOMAIN}>"
    await mail_in(db, report(status="5.1.1", about=about))
    assert await state_of(db, at) == ContactPointState.BOUNCED


async def test_a_forged_bounce_changes_nothing(db: Database) -> None:
    world = await make_world(db, 1)
    await publish(db, world)
    at = world.points[world.subscribers[0], "email"]
    good = bounce_address(db.keys, await delivery_to(db, at), DOMAIN)
    forged = good.replace(good[10], "a" if good[10] != "a" else "b", 1)
    await mail_in(
        db, report(status="5.1.1", about="<d.aaaaaaaaaaaaaaaaaaaaaaaaaaaaa@replies.example>"), to=[forged]
    )
    assert await state_of(db, at) == ContactPointState.ACTIVE
    async with db.transaction() as tx:
        states = (await tx.execute(select(Delivery.state))).scalars().all()
    assert set(states) == {"pending"}


def complaint(about: str, kind: str = "abuse") -> bytes:
    return (
        "From: fbl@mail.example\nTo: abuse@replies.example\nSubject: Complaint\nMessage-ID: <c1@mail.example>\n"
        'MIME-Version: 1.0\nContent-Type: multipart/report; report-type=feedback-report; boundary="x"\n\n'
        "--x\nContent-Type: text/plain\n\nThis is a complaint.\n"
        f"--x\nContent-Type: message/feedback-report\n\nFeedback-Type: {kind}\nUser-Agent: test/1\nVersion: 1\n"
        f"\n--x\nContent-Type: message/rfc822\n\nMessage-ID: {about}\nSubject: Patrols tonight\n\nhello\n--x--\n"
    ).encode()


@pytest.mark.parametrize(("kind", "state"), [("abuse", "stopped"), ("not-spam", "active")])
async def test_a_complaint_ends_mail_to_that_address(db: Database, kind: str, state: str) -> None:
    world = await make_world(db, 1)
    await publish(db, world)
    at = world.points[world.subscribers[0], "email"]
    about = f"<d.{delivery_token(db.keys, await delivery_to(db, at))}@{DOMAIN}>"
    done = await mail_in(db, complaint(about, kind))
    assert (done.state, done.kind) == (IncomingState.FILED, IncomingKind.COMPLAINT)
    assert await state_of(db, at) == state


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("unsubscribe", ""),
        ("STOP", ""),
        ("Unsubscribe", "This message was automatically generated by your mail program."),
        ("Re: Patrols tonight", "STOP\n\nOn Monday the team wrote:\n> Patrols tonight"),
    ],
)
async def test_a_mail_that_asks_to_stop_ends_mail(db: Database, subject: str, text: str) -> None:
    world = await make_world(db)
    point = world.points[world.subscribers[0], "email"]
    done = await mail_in(db, mail(sender=email(world), subject=subject, text=text))
    assert done.kind is IncomingKind.STOP
    assert await state_of(db, point) == ContactPointState.STOPPED
    assert await told(db, point) == ["stopped"]


@pytest.mark.parametrize("change", ["one letter", "cut short", "plus lost"])
async def test_a_reply_address_that_was_changed_names_nothing_and_the_mail_is_kept(
    db: Database, change: str
) -> None:
    world = await make_world(db)
    await publish(db, world, team=1, wards=(0,))
    point = world.points[world.subscribers[0], "email"]
    good = await reply_to(db, point)
    changed = {
        "one letter": good[:10] + ("a" if good[10] != "a" else "b") + good[11:],
        "cut short": good.replace("@", "", 1)[: good.index("@") - 3] + good[good.index("@") :],
        "plus lost": good.replace("reply+", "reply"),
    }[change]
    done = await mail_in(db, mail(sender=email(world), to=changed), to=[changed])
    assert done.resolver == "single_ward"
    assert not (await seen(db, done)).entries[0].verified


@pytest.mark.parametrize("where", ["To", "Cc", "Delivered-To", "X-Original-To", "envelope", "upper case"])
async def test_a_reply_address_is_found_wherever_it_stands(db: Database, where: str) -> None:
    world = await make_world(db)
    await publish(db, world, team=1, wards=(0,))
    point = world.points[world.subscribers[0], "email"]
    named = await reply_to(db, point)
    plain = f"desk@{DOMAIN}"
    if where == "envelope":
        done = await mail_in(db, mail(sender=email(world), to=plain), to=[plain, named])
    elif where == "upper case":
        done = await mail_in(db, mail(sender=email(world).upper(), to=named.upper()))
    elif where == "To":
        done = await mail_in(db, mail(sender=email(world), to=f"The team <{named}>"))
    else:
        done = await mail_in(db, mail(sender=email(world), to=plain, headers=f"{where}: {named}\n"))
    shown = await seen(db, done)
    assert (done.resolver, shown.team, shown.entries[0].verified) == ("reply_token", world.teams[1], True)


@pytest.mark.parametrize(
    ("header", "subject", "threaded"),
    [
        ("In-Reply-To", "Something else", True),
        ("References", "Re: Patrols tonight", True),
        ("References", "AW: Re: patrols  tonight", True),
        ("References", "Something else", False),
    ],
)
async def test_headers_thread_and_references_alone_only_under_the_same_subject(
    db: Database, header: str, subject: str, threaded: bool
) -> None:
    world = await make_world(db)
    await publish(db, world, team=1, wards=(0,))
    point = world.points[world.subscribers[0], "email"]
    named = f"<d.{delivery_token(db.keys, await delivery_to(db, point)).upper()}@{DOMAIN}>"
    done = await mail_in(
        db,
        mail(
            sender=email(world),
            subject=subject,
            headers=f"{header}: <other@x.example> {named}\n"
            if header == "References"
            else f"{header}: {named}\n",
        ),
    )
    assert (done.resolver == "reply_token") is threaded


async def test_another_person_with_the_token_is_attached_unverified_and_told_nothing(db: Database) -> None:
    world = await make_world(db)
    await publish(db, world, team=1, wards=(0,))
    point = world.points[world.subscribers[0], "email"]
    owner = await mail_in(db, mail(sender=email(world), to=await reply_to(db, point), text="My own words"))
    quoted = "Look at this\n\nOn Monday the team wrote:\n> a secret of the other's"
    done = await mail_in(
        db, mail(sender="forwarder@other.example", to=await reply_to(db, point), text=quoted)
    )
    shown = await seen(db, done)
    assert done.conversation == owner.conversation
    assert [entry.verified for entry in shown.entries] == [True, False]
    assert shown.entries[1].text == "Look at this"
    assert shown.entries[1].body is None  # the quote below is not theirs to be shown from
    async with db.transaction() as tx:
        told_to = (await tx.execute(select(Notice.contact_point_id))).scalars().all()
    assert set(told_to) == {point}


@pytest.mark.parametrize(
    "sender",
    [f"chief@{DOMAIN}", "one@mail.example, two@mail.example", "nobody"],
)
async def test_a_sender_that_cannot_be_believed_is_queued_and_never_answered(
    db: Database, sender: str
) -> None:
    await make_world(db)
    done = await mail_in(db, mail(sender=sender, subject="Hello"))
    assert done.state is IncomingState.ROUTED
    assert not (await seen(db, done)).entries[0].verified
    assert await count(db, Notice) == 0
    stop = await mail_in(db, mail(sender=sender, subject="STOP", text=""))
    assert stop.state is IncomingState.ROUTED


async def test_what_was_attached_is_named(db: Database) -> None:
    world = await make_world(db)
    raw = mail(sender=email(world), subject="Photo", text="x").replace(
        b"Content-Type: text/plain; charset=utf-8", b'Content-Type: image/jpeg; name="van.jpg"'
    )
    done = await mail_in(db, raw)
    assert "[attached: van.jpg]" in (await seen(db, done)).entries[0].text


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"From: a@b.example\r\n\r\n",
        b"\x00\xff\xfe",
        b"From: a@b.example\r\nMessage-ID: <"
        + b"x" * 5000
        + b"@y>\r\nSubject: "
        + b"s" * 100_000
        + b"\r\n\r\nhi",
        b"From: a@b.example\r\nContent-Type: text/plain; charset=utf-7\r\n\r\n+ADw-script+AD4-",
        b"From: a@b.example\r\nTo: " + b"p@q.example, " * 20_000 + b"\r\n\r\nhi",
        b"From: a@b.example\r\nReferences: " + b"<r@x.example> " * 500 + b"\r\nDate: 1970\r\n\r\nhi",
        b"From: =?utf-8?q?chief=40force?= <x@evil.example>\r\nSubject: a\x00b\r\n\r\na\x00b",
    ],
)
async def test_a_mail_that_makes_no_sense_is_kept_and_stands_in_a_queue(db: Database, raw: bytes) -> None:
    done = await mail_in(db, raw)
    assert done.state is IncomingState.ROUTED
    async with db.transaction() as tx:
        row = (await tx.execute(select(IncomingRow))).one()
        assert tx.keys.open(receive.RAW, row.id, row.raw_sealed) == raw
