"""What becomes of a text, and of whatever comes twice or at once: commands are obeyed, the rest is queued."""

import asyncio

import pytest
from sqlalchemy import func, select

from notifier.db import Database
from notifier.inbox import receive
from notifier.inbox.handle import handle
from notifier.inbox.resolvers import DEFAULT_RESOLVERS
from notifier.models import (
    Conversation,
    ConversationEntry,
    IncomingKind,
    IncomingRow,
    IncomingState,
    Notice,
)
from subscribers.models import ContactPointState, Subscription
from tests.integration.replies import (
    count,
    email,
    handled,
    mail,
    make_world,
    phone,
    seen,
    settings,
    state_of,
    store_mail,
    store_text,
    text_in,
    told,
)

STRANGER = "+447700900777"


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
