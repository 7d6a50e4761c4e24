"""Answering from the desk, and the queue a team sees, on both databases."""

import json

import pytest
from sqlalchemy import select, update

from channels.memory import Memory
from channels.registry import Channels
from notifier import config
from notifier.db import Database
from notifier.delivery.wording import VARIABLES
from notifier.errors import Conflict, Invalid, NotFound
from notifier.inbox import queue, view
from notifier.inbox.answer import answer
from notifier.inbox.handle import Handled
from notifier.inbox.queue import Show
from notifier.models import Conversation, ConversationState, Delivery, DeliveryState, Notice
from notifier.runtime import Service
from notifier.worker import Worker
from tests.integration.replies import (
    DOMAIN,
    email,
    mail,
    mail_in,
    make_officer,
    make_world,
    phone,
    publish,
    reply_to,
    seen,
    text_in,
)


async def send_answer(db: Database, done: Handled, text: str = "We will look at it tonight.") -> object:
    shown = await seen(db, done)
    officer = await make_officer(db)
    async with db.transaction() as tx:
        return await answer(tx, shown.id, officer, text, shown.version, teams=[shown.team])


async def deliver(db: Database) -> Memory:
    """Everything that is due is sent, through a channel that keeps it."""
    memory = Memory()
    environment = config.build({"NOTIFIER_CHANNELS": "memory", "NOTIFIER_MAIL_DOMAIN": DOMAIN})
    await Worker(Service(environment=environment, db=db, channels=Channels([memory])), db.jobs).drain()
    return memory


async def planned(db: Database, template: str = "answer") -> dict[str, object]:
    async with db.transaction() as tx:
        row = (await tx.execute(select(Notice).where(Notice.template == template))).one()
        given: dict[str, object] = json.loads(tx.keys.open_text(VARIABLES, row.id, row.variables_sealed))
    return given


async def test_an_answer_to_a_text_goes_out_as_a_text_from_the_number_they_wrote_to(db: Database) -> None:
    world = await make_world(db)
    done = await text_in(db, phone(world), "Who do I tell?", to=world.numbers[1])
    await send_answer(db, done)
    sent = [each for each in (await deliver(db)).sent if "look at it tonight" in each.words.text]
    assert [(each.to, each.message.sender) for each in sent] == [(phone(world), world.numbers[1])]
    shown = await seen(db, done)
    assert shown.state is ConversationState.WAITING
    assert [(e.direction, e.officer, e.delivery) for e in shown.entries] == [
        ("in", None, None),
        ("out", "PC Ann Lee", DeliveryState.ACCEPTED),
    ]


async def test_an_answer_to_a_mail_threads_both_ways(db: Database) -> None:
    world = await make_world(db)
    await publish(db, world, team=1, wards=(0,))
    point = world.points[world.subscribers[0], "email"]
    theirs = mail(sender=email(world), to=await reply_to(db, point), headers="References: <a@b.example>\n")
    done = await mail_in(db, theirs)
    await send_answer(db, done)
    sent = next(each for each in (await deliver(db)).sent if "look at it tonight" in each.words.text)
    own = theirs.split(b"Message-ID: ")[1].split(b"\r\n")[0].decode()
    assert sent.message.headers["In-Reply-To"] == own
    assert sent.message.headers["References"] == f"<a@b.example> {own}"
    assert sent.words.subject == "Re: Patrols tonight"

    back = await mail_in(db, mail(sender=email(world), to=sent.message.reply_to, text="Thank you"))
    assert (back.resolver, back.conversation) == ("reply_token", done.conversation)
    shown = await seen(db, back)
    assert (shown.state, shown.entries[-1].text, shown.entries[-1].verified) == ("open", "Thank you", True)


async def test_a_reply_to_an_answer_opens_a_resolved_conversation_and_follows_one_that_was_handed_over(
    db: Database,
) -> None:
    world = await make_world(db)
    officer = await make_officer(db)
    done = await mail_in(db, mail(sender=email(world), subject="Hello"))
    await send_answer(db, done)
    sent = next(each for each in (await deliver(db)).sent if "look at it tonight" in each.words.text)
    shown = await seen(db, done)
    async with db.transaction() as tx:
        await queue.hand_over(tx, shown.id, world.teams[2], officer, "It is about Elm", teams=None)
        moved = await tx.scalar(select(Conversation.version).where(Conversation.id == shown.id))
        await queue.resolve(tx, shown.id, moved, teams=None)
    back = await mail_in(db, mail(sender=email(world), to=sent.message.reply_to, text="Thank you"))
    again = await seen(db, back)
    assert (back.conversation, again.state, again.team) == (done.conversation, "open", world.teams[2])


async def test_an_answer_that_waits_when_they_stop_never_leaves(db: Database) -> None:
    world = await make_world(db)
    done = await text_in(db, phone(world), "Who do I tell?")
    await send_answer(db, done)
    await text_in(db, phone(world), "STOP")
    sent = (await deliver(db)).sent
    assert not [each for each in sent if "look at it tonight" in each.words.text]
    assert [each for each in sent if each.to == phone(world)]  # the receipt of the stop itself leaves
    assert (await seen(db, done)).entries[-1].delivery is DeliveryState.SUPPRESSED


async def test_who_stopped_can_be_answered_only_once_they_write_again(db: Database) -> None:
    world = await make_world(db)
    done = await text_in(db, phone(world), "Who do I tell?")
    await text_in(db, phone(world), "STOP")
    shown = await seen(db, done)
    assert not shown.can_answer
    assert "asked us to stop" in shown.why_not
    with pytest.raises(Invalid, match="asked us to stop"):
        await send_answer(db, done)
    await text_in(db, phone(world), "Still there?")
    assert (await seen(db, done)).can_answer
    await send_answer(db, done)
    assert [each for each in (await deliver(db)).sent if "look at it tonight" in each.words.text]


@pytest.mark.parametrize("text", ["", "  \n ", "\x00\x07", "x" * 900, "Ж" * 500])
async def test_an_answer_without_words_or_with_too_many_is_refused(db: Database, text: str) -> None:
    world = await make_world(db)
    done = await text_in(db, phone(world), "Who do I tell?")
    with pytest.raises(Invalid) as refused:
        await send_answer(db, done, text)
    assert list(refused.value.fields) == ["text"]
    assert (await seen(db, done)).state is ConversationState.NEW


async def test_an_answer_over_something_unseen_is_refused(db: Database) -> None:
    world = await make_world(db)
    officer = await make_officer(db)
    done = await text_in(db, phone(world), "Who do I tell?")
    before = await seen(db, done)
    await text_in(db, phone(world), "It is on fire")
    async with db.transaction() as tx:
        with pytest.raises(Conflict):
            await answer(tx, before.id, officer, "No hurry", before.version, teams=None)


async def test_the_same_answer_sent_twice_leaves_once(db: Database) -> None:
    world = await make_world(db)
    officer = await make_officer(db)
    shown = await seen(db, await text_in(db, phone(world), "Who do I tell?"))
    async with db.transaction() as tx:
        await answer(tx, shown.id, officer, "Us", shown.version, teams=None)
        with pytest.raises(Conflict):
            await answer(tx, shown.id, officer, "Us", shown.version, teams=None)


async def test_nothing_of_another_team_can_be_seen_or_touched(db: Database) -> None:
    world = await make_world(db)
    officer = await make_officer(db)
    shown = await seen(db, await text_in(db, phone(world), "Hello"))
    others = [world.teams[1], world.teams[2]]
    async with db.transaction() as tx:
        assert await view.conversation(tx, shown.id, others) is None
        assert await view.conversation(tx, shown.id, []) is None
        assert await queue.team_queue(tx, others) == []
        for touch in (
            answer(tx, shown.id, officer, "Hello", shown.version, teams=others),
            queue.take(tx, shown.id, officer, teams=others),
            queue.release(tx, shown.id, officer, teams=others),
            queue.hand_over(tx, shown.id, world.teams[1], officer, "mine", teams=others),
            queue.resolve(tx, shown.id, shown.version, teams=others),
            queue.note(tx, shown.id, officer, "mine", teams=[]),
        ):
            with pytest.raises(NotFound):
                await touch
    assert await seen(db, Handled(state="routed", kind="reply", conversation=shown.id)) == shown  # type: ignore[arg-type]


async def test_the_queue_puts_urgent_first_and_then_who_waited_longest(db: Database) -> None:
    world = await make_world(db)
    for person, words in ((0, "first"), (1, "second"), (0, "first again"), (2, "he has a knife")):
        await text_in(db, phone(world, person), words)
    async with db.transaction() as tx:
        rows = await queue.team_queue(tx, None)
        counted = await queue.counts(tx, None)
    assert [row.snippet for row in rows] == ["he has a knife", "second", "first again"]
    assert [row.urgent for row in rows] == [True, False, False]
    assert counted == {Show.TO_DO: 3, Show.WAITING: 0, Show.RESOLVED: 0, Show.ALL: 3}


async def test_taking_is_for_one_officer(db: Database) -> None:
    world = await make_world(db)
    one, two = await make_officer(db), await make_officer(db, "PC Bo Ray")
    shown = await seen(db, await text_in(db, phone(world), "Hello"))
    async with db.transaction() as tx:
        await queue.take(tx, shown.id, one, teams=None)
        await queue.take(tx, shown.id, one, teams=None)
        with pytest.raises(Conflict):
            await queue.take(tx, shown.id, two, teams=None)
        row = (await queue.team_queue(tx, None))[0]
        assert (row.taken_by, row.taken_by_name, row.state) == (one, "PC Ann Lee", "open")
        await queue.release(tx, shown.id, one, teams=None)
        await queue.take(tx, shown.id, two, teams=None)


async def test_handing_over_joins_what_that_team_has_and_corrects_the_record(db: Database) -> None:
    world = await make_world(db)
    officer = await make_officer(db)
    here = await text_in(db, phone(world), "Hello")
    there = await text_in(db, phone(world), "CASTLE is loud")
    assert here.conversation is not None
    async with db.transaction() as tx:
        with pytest.raises(Invalid):
            await queue.hand_over(tx, here.conversation, world.teams[1], officer, " ", teams=None)
        now_at = await queue.hand_over(
            tx, here.conversation, world.teams[1], officer, "It is about Castle", teams=[world.teams[0]]
        )
    assert now_at == there.conversation
    shown = await seen(db, there)
    assert [entry.text for entry in shown.entries] == ["Hello", "CASTLE is loud"]
    assert [(note.text, note.officer) for note in shown.notes] == [("It is about Castle", "PC Ann Lee")]
    assert [each.corrected_to for each in shown.routing] == [shown.team_name, None]
    assert (await seen(db, here)).state is ConversationState.RESOLVED


async def test_a_note_never_leaves(db: Database) -> None:
    world = await make_world(db)
    officer = await make_officer(db)
    shown = await seen(db, await text_in(db, phone(world), "Hello"))
    await deliver(db)
    async with db.transaction() as tx:
        await queue.note(tx, shown.id, officer, "He rings every week", teams=None)
        before = len((await tx.execute(select(Delivery.id))).all())
    assert (await deliver(db)).sent == []
    async with db.transaction() as tx:
        assert len((await tx.execute(select(Delivery.id))).all()) == before


async def test_resolving_over_something_unseen_is_refused(db: Database) -> None:
    world = await make_world(db)
    shown = await seen(db, await text_in(db, phone(world), "Hello"))
    await text_in(db, phone(world), "One more thing")
    async with db.transaction() as tx:
        with pytest.raises(Conflict):
            await queue.resolve(tx, shown.id, shown.version, teams=None)
        await tx.execute(update(Conversation).values(version=9))
        await queue.resolve(tx, shown.id, 9, teams=None)
        assert [row.state for row in await queue.team_queue(tx, None, Show.RESOLVED)] == ["resolved"]
