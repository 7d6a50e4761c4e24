"""What becomes of each kind of message, on both databases: commands, reports, robots, repeats, races."""

import asyncio

import pytest
from sqlalchemy import func, select

from notifier.db import Database
from notifier.delivery.tokens import bounce_address, delivery_token
from notifier.inbox import receive
from notifier.inbox.handle import handle
from notifier.inbox.resolvers import DEFAULT_RESOLVERS
from notifier.models import (
    Conversation,
    ConversationEntry,
    Delivery,
    IncomingKind,
    IncomingRow,
    IncomingState,
    Notice,
)
from subscribers.models import ContactPoint, ContactPointState, Subscription
from tests.integration.replies import (
    DOMAIN,
    delivery_to,
    handled,
    mail,
    mail_in,
    make_world,
    publish,
    reply_to,
    seen,
    settings,
    store_mail,
    store_text,
    text_in,
    told,
)
from tests.world import World

STRANGER = "+447700900777"


def phone(world: World, person: int = 0) -> str:
    return world.addresses[world.points[world.subscribers[person], "sms"]]


def email(world: World, person: int = 0) -> str:
    return world.addresses[world.points[world.subscribers[person], "email"]]


async def count(db: Database, table: type) -> int:
    async with db.transaction(read_only=True) as tx:
        found: int = await tx.scalar(select(func.count()).select_from(table))
    return found


async def state_of(db: Database, point: object) -> str:
    async with db.transaction(read_only=True) as tx:
        found: str = await tx.scalar(select(ContactPoint.state).where(ContactPoint.id == point))
    return found


# --- Commands ---------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["STOP", " Stop. ", "stop texting me", "🛑 STOP\u200b", "ARRÊT", "unsub"])
async def test_a_stop_ends_texts_at_once_with_one_receipt(db: Database, words: str) -> None:
    world = await make_world(db)
    point = world.points[world.subscribers[0], "sms"]
    done = await text_in(db, phone(world), words)
    assert (done.state, done.kind) == (IncomingState.FILED, IncomingKind.STOP)
    assert await state_of(db, point) == ContactPointState.STOPPED
    assert await told(db, point) == ["stopped"]
    await text_in(db, phone(world), words)
    assert await told(db, point) == ["stopped"]
    assert await count(db, Conversation) == 0


async def test_a_sign_alone_stops_nothing_but_is_shown_to_an_officer_with_a_remark(db: Database) -> None:
    world = await make_world(db)
    done = await text_in(db, phone(world), "🛑")
    assert await state_of(db, world.points[world.subscribers[0], "sms"]) == ContactPointState.ACTIVE
    assert (await seen(db, done)).entries[0].remark == "it may be a wish to stop"


async def test_stop_and_an_area_ends_that_area_alone(db: Database) -> None:
    world = await make_world(db, 1, wards=[1, 2], second_ward=True)
    point = world.points[world.subscribers[0], "sms"]
    done = await text_in(db, phone(world), "Stop Castle")
    assert done.kind is IncomingKind.STOP
    assert await told(db, point) == ["stopped_area"]
    assert await state_of(db, point) == ContactPointState.ACTIVE
    async with db.transaction() as tx:
        live = await tx.scalar(select(func.count()).where(Subscription.ended_at.is_(None)))
    assert live == 1


@pytest.mark.parametrize("words", ["Stop the dealers", "Don't stop the patrols", "bus stop vandalised"])
async def test_a_sentence_with_stop_in_it_is_a_reply(db: Database, words: str) -> None:
    world = await make_world(db)
    done = await text_in(db, phone(world), words)
    assert (await seen(db, done)).entries[0].text == words
    assert await state_of(db, world.points[world.subscribers[0], "sms"]) == ContactPointState.ACTIVE


async def test_start_asks_for_ok_and_ok_brings_texts_back(db: Database) -> None:
    world = await make_world(db)
    point = world.points[world.subscribers[0], "sms"]
    await text_in(db, phone(world), "STOP")
    reply = await text_in(db, phone(world), "See you in the park")
    assert reply.state is IncomingState.ROUTED
    assert await state_of(db, point) == ContactPointState.STOPPED  # a reply does not resubscribe
    await text_in(db, phone(world), "START")
    assert await state_of(db, point) == ContactPointState.STOPPED
    assert (await text_in(db, phone(world), "OK")).kind is IncomingKind.CONFIRM
    assert await state_of(db, point) == ContactPointState.ACTIVE
    assert (await told(db, point))[:2] == ["stopped", "start_question"]


async def test_an_ok_that_answers_nothing_is_a_reply(db: Database) -> None:
    world = await make_world(db)
    done = await text_in(db, phone(world), "OK")
    assert (done.state, done.resolver) == (IncomingState.ROUTED, "single_ward")


async def test_info_is_answered_and_help_is_answered_and_seen_by_a_team(db: Database) -> None:
    world = await make_world(db)
    info = await text_in(db, phone(world), "info")
    assert (info.state, info.kind) == (IncomingState.FILED, IncomingKind.HELP)
    done = await text_in(db, phone(world, 1), "HELP")
    assert (await seen(db, done)).urgent
    assert await told(db, world.points[world.subscribers[0], "sms"]) == ["help"]
    assert await told(db, world.points[world.subscribers[1], "sms"]) == ["help"]


async def test_emergency_words_go_to_the_top_and_say_whom_to_call_once_an_hour(db: Database) -> None:
    world = await make_world(db)
    for words in ("999 help now", "he has a knife"):
        done = await text_in(db, phone(world), words)
    assert (await seen(db, done)).urgent
    assert await told(db, world.points[world.subscribers[0], "sms"]) == ["acknowledgement"]
    async with db.transaction() as tx:
        assert (await tx.scalar(select(Notice.kind))) == "help"


async def test_a_reply_is_acknowledged_once_a_day(db: Database) -> None:
    world = await make_world(db)
    for words in ("Hello", "Hello again", "And again"):
        await text_in(db, phone(world), words)
    assert await told(db, world.points[world.subscribers[0], "sms"]) == ["acknowledgement"]


@pytest.mark.parametrize("sender", ["60606", "POLICE", "", "+1 202 555 0123"])
async def test_a_sender_that_takes_no_answer_is_queued_and_told_nothing(db: Database, sender: str) -> None:
    await make_world(db)
    done = await text_in(db, sender, "Hello")
    shown = await seen(db, done)
    assert not shown.can_answer
    assert await count(db, Notice) == 0
    assert (await text_in(db, sender, "STOP")).state is IncomingState.FILED
    assert await count(db, Notice) == 0


async def test_a_text_from_a_number_of_our_own_is_filed(db: Database) -> None:
    world = await make_world(db)
    done = await text_in(db, world.numbers[0], "We have your message", to=world.numbers[1])
    assert (done.state, done.kind) == (IncomingState.FILED, IncomingKind.AUTO_REPLY)


# --- Mail -------------------------------------------------------------------------------------


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


async def test_five_failures_that_end_nothing_end_the_address(db: Database) -> None:
    world = await make_world(db, 1)
    at = world.points[world.subscribers[0], "email"]
    for number in range(5):
        assert await state_of(db, at) == ContactPointState.ACTIVE
        await publish(db, world)
        named = bounce_address(db.keys, await delivery_to(db, at), DOMAIN)
        raw = report(status="5.2.2").replace(b"<r1@", f"<r{number + 2}@".encode())
        await mail_in(db, raw, mail_from="", to=[named])
    assert await state_of(db, at) == ContactPointState.BOUNCED


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
        b"From: a@b.example\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"
        + b"--x\r\n\r\n\r\n" * 3_000,
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


# --- Twice, at once, and gone wrong --------------------------------------------------------------


async def test_the_same_event_twice_is_one_message(db: Database) -> None:
    world = await make_world(db)
    raw = mail(sender=email(world))
    first, again = (
        await store_mail(db, raw),
        await store_mail(db, raw, mail_from=email(world), to=["x@y.example"]),
    )
    other = await store_mail(db, raw + b"another body")
    assert first == again != other
    bare = b"From: a@b.example\r\n\r\nno id"
    assert await store_mail(db, bare) == await store_mail(db, bare) != await store_mail(db, bare + b"!")


async def test_handling_twice_does_nothing_the_second_time(db: Database) -> None:
    world = await make_world(db)
    incoming = await store_text(db, phone(world), "Hello")
    await handled(db, incoming)
    async with db.transaction() as tx:
        assert await handle(tx, incoming, DEFAULT_RESOLVERS, settings()) is None
    assert await count(db, ConversationEntry) == 1


async def test_two_texts_that_race_open_one_conversation(db: Database) -> None:
    world = await make_world(db)
    stored = [await store_text(db, phone(world), f"Hello {n}") for n in range(8)]
    done = await asyncio.gather(*(handled(db, incoming) for incoming in stored))
    assert len({each.conversation for each in done}) == 1
    assert await count(db, ConversationEntry) == 8
    assert await told(db, world.points[world.subscribers[0], "sms"]) == ["acknowledgement"]


async def test_two_strangers_first_texts_that_race_make_one_contact_point(db: Database) -> None:
    await make_world(db, 1)
    stored = [await store_text(db, STRANGER, f"Hello {n}") for n in range(6)]
    done = await asyncio.gather(*(handled(db, incoming) for incoming in stored))
    assert len({each.conversation for each in done}) == 1


async def test_one_message_handled_by_two_workers_is_entered_once(db: Database) -> None:
    world = await make_world(db)
    incoming = await store_text(db, phone(world), "Hello")

    async def once() -> object:
        async with db.transaction() as tx:
            return await handle(tx, incoming, DEFAULT_RESOLVERS, settings())

    done = await asyncio.gather(*(once() for _ in range(4)))
    assert len([each for each in done if each is not None]) == 1
    assert await count(db, ConversationEntry) == 1


async def test_a_message_that_cannot_be_handled_is_quarantined_after_three_tries(db: Database) -> None:
    await make_world(db)
    incoming = await store_text(db, STRANGER, "Hello")
    for tries in range(1, 4):
        async with db.transaction() as tx:
            await receive.failed(tx, incoming, "could not be handled: ValueError")
            row = (await tx.execute(select(IncomingRow.tries, IncomingRow.state, IncomingRow.reason))).one()
        assert row.tries == tries
    assert (row.state, row.reason) == (IncomingState.QUARANTINED, "could not be handled: ValueError")


async def test_the_words_of_residents_are_sealed(db: Database) -> None:
    world = await make_world(db)
    done = await text_in(db, phone(world), "a secret of mine")
    async with db.transaction() as tx:
        entry = (await tx.execute(select(ConversationEntry))).one()
        row = (await tx.execute(select(IncomingRow))).one()
        conversation = (
            await tx.execute(select(Conversation).where(Conversation.id == done.conversation))
        ).one()
    kept = b"".join(bytes(v) for r in (entry, row) for v in r if isinstance(v, bytes))
    said = " ".join(str(v) for r in (entry, row, conversation) for v in r if isinstance(v, str))
    assert b"secret" not in kept
    assert "secret" not in said
    assert "900000" not in said


@pytest.mark.parametrize(
    "words",
    [
        " ",
        "",
        "x" * 1600,
        "\u202eabc",
        "a\x00b",
        "\r\n\r\n",
        "{{7*7}}",
        "https://bit.ly/x",
        "ünïcödé",
        "ﷺ" * 500,
        "\ud800",
        "Ж" * 1600,
    ],
)
async def test_whatever_is_written_is_kept_as_it_is_and_stands_in_a_queue(db: Database, words: str) -> None:
    world = await make_world(db, 1)
    done = await text_in(db, phone(world), words)
    assert (await seen(db, done)).entries[0].text == words
