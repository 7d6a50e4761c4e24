"""The main job through real SMTP, the real twilio SDK and real tweepy: out to the right people, and back.

2,000 people in six wards; one message to two of them by email, text and post. Replies come by a
signed hook and by LMTP, and stand in the right team's queue with the right reason; the officer's
answer goes back by the way the reply came, and the next reply threads to it.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from email.message import EmailMessage
from uuid import UUID

import pytest
from sqlalchemy import insert, select

from notifier import config
from notifier.broadcast import approve, draft, report
from notifier.db import Database
from notifier.inbox.answer import answer
from notifier.models import Conversation, ConversationEntry, Officer, RoutingDecision, Team
from notifier.runtime import Service, channel_variables, open_service
from notifier.web.app import running
from notifier.web.mail import listen
from notifier.worker import Worker
from subscribers.models import new_id
from tests.fakes.smtp import AcceptedMail
from tests.processes import dialled, free_port
from tests.providers import Providers, providers, until
from tests.world import World, make_people, make_places, ward

PEOPLE, MOBILES = 2000, 300  # there are 1,000 mobile numbers that ring nobody


@dataclass
class Running:
    """The service with its three providers, its pages, its mail listener and one worker."""

    service: Service
    ends: Providers
    web: str
    lmtp_port: int

    @property
    def db(self) -> Database:
        return self.service.db


@pytest.fixture
async def whole(database_url: str) -> AsyncIterator[Running]:
    port, lmtp_port = free_port(), free_port()
    web = f"http://127.0.0.1:{port}"
    async with AsyncExitStack() as stack:
        ends = await stack.enter_async_context(providers(calls_back=True))
        settings = ends.settings(
            database_url,
            NOTIFIER_LISTEN=f"127.0.0.1:{port}",
            NOTIFIER_BASE_URL=web,
            NOTIFIER_INBOUND_LISTEN=f"lmtp://127.0.0.1:{lmtp_port}",
            NOTIFIER_TIME_FACTOR="0.2",
        )
        environment = config.build(settings, channel_variables)
        service = await stack.enter_async_context(open_service(environment))
        worker = Worker(service, service.db.jobs)
        task = asyncio.create_task(worker.run())
        try:
            await stack.enter_async_context(listen(service, environment.settings.inbound_listen))
            await stack.enter_async_context(running(service))
            yield Running(service=service, ends=ends, web=web, lmtp_port=lmtp_port)
        finally:
            worker.stop()
            await task
            await stack.aclose()


async def publish(whole: Running, world: World) -> UUID:
    async with whole.db.transaction() as tx:
        written = draft.Draft(
            kind="consultation",
            texts={"en": ("What should we work on?", "Tell us **one thing** we should do in your street.")},
            areas=(ward(0), ward(1)),
            media=("email", "sms", "social"),
            reply_by=tx.now.replace(year=tx.now.year + 1),
        )
        message = await draft.save(tx, written, team=world.teams[0], author=None)
        await approve.approve(tx, message, team=world.teams[0], officer=None)
    return message


async def is_over(whole: Running, message: UUID) -> bool:
    async with whole.db.transaction(read_only=True) as tx:
        found = await report.progress(tx, message)
    return found is not None and found.is_over


async def reply_by_mail(
    whole: Running, mail: AcceptedMail, text: str, *, subject: str = "Re: your message"
) -> None:
    """What a mail program makes of "reply": to Reply-To, threaded by In-Reply-To, over LMTP."""
    sent = mail.message
    reply = EmailMessage()
    reply["From"] = mail.to
    reply["To"] = sent["Reply-To"]
    reply["Subject"] = subject
    reply["Message-ID"] = f"<{new_id().hex}@mail.example>"
    reply["In-Reply-To"] = sent["Message-ID"]
    reply.set_content(f"{text}\n\nOn Saturday the team wrote:\n> Tell us one thing we should do\n")
    await deliver_by_lmtp(whole.lmtp_port, mail.to, str(sent["Reply-To"]), reply.as_bytes())


async def deliver_by_lmtp(port: int, sender: str, to: str, raw: bytes) -> None:
    """One LMTP conversation (RFC 2033), spoken by hand: the standard library's client waits for one answer."""
    async with dialled(port) as (reader, writer):

        async def say(line: str) -> str:
            if line:
                writer.write(line.encode() + b"\r\n")
            answer_line = (await reader.readline()).decode()
            while answer_line[3:4] == "-":
                answer_line = (await reader.readline()).decode()
            return answer_line

        assert (await say("")).startswith("220")
        assert (await say("LHLO tests.example")).startswith("250")
        assert (await say(f"MAIL FROM:<{sender}>")).startswith("250")
        assert (await say(f"RCPT TO:<{to}>")).startswith("250")
        assert (await say("DATA")).startswith("354")
        body = b"\r\n".join(b"." + line if line.startswith(b".") else line for line in raw.splitlines())
        writer.write(body + b"\r\n.\r\n")
        assert (await reader.readline()).startswith(b"250")
        await say("QUIT")


async def queue_of(whole: Running, team: UUID) -> list[tuple[str, str, str]]:
    """What stands in a team's queue: (resolver, reason, words)."""
    async with whole.db.transaction(read_only=True) as tx:
        rows = await tx.execute(
            select(
                ConversationEntry.id,
                ConversationEntry.body_sealed,
                ConversationEntry.trimmed_sealed,
                RoutingDecision.resolver,
                RoutingDecision.reason,
            )
            .join(Conversation, Conversation.id == ConversationEntry.conversation_id)
            .join(RoutingDecision, RoutingDecision.incoming_id == ConversationEntry.incoming_id)
            .where(Conversation.team_id == team)
            .order_by(ConversationEntry.at)
        )
        return [
            (
                row.resolver,
                row.reason,
                tx.keys.open_text("conversation_entries.trimmed", row.id, row.trimmed_sealed)
                if row.trimmed_sealed
                else tx.keys.open_text("conversation_entries.body", row.id, row.body_sealed),
            )
            for row in rows
        ]


async def make_officer(whole: Running) -> UUID:
    made = new_id()
    async with whole.db.transaction() as tx:
        await tx.execute(
            insert(Officer).values(
                id=made,
                email_sealed=tx.keys.seal("officers.email", made, "pat@force.example"),
                email_hash=tx.keys.address_hash("officer", "pat@force.example"),
                name="Sgt Pat Green",
                password_hash="-",
                created_at=tx.now,
            )
        )
    return made


async def only_the_chosen_got_it(whole: Running, world: World, message: UUID) -> None:
    """Exactly the people of wards 0 and 1, once on each medium, and one post; the counts say the same."""
    chosen = {s for i, s in enumerate(world.subscribers) if i % 6 in (0, 1)}  # 300 is a multiple of 6
    expected = {world.addresses[point] for (person, _), point in world.points.items() if person in chosen}
    assert len(chosen) == 668
    assert len(expected) == 668 + 100
    assert Counter(whole.ends.accepted()) == Counter(dict.fromkeys([*expected, "post"], 1))
    async with whole.db.transaction(read_only=True) as tx:
        found = await report.progress(tx, message)
    assert found is not None
    assert (found.sums_up, found.reached, found.audience) == (True, 769, 769)


async def answer_all(whole: Running, world: World, text: str) -> None:
    """An officer of the first team answers every conversation."""
    officer = await make_officer(whole)
    async with whole.db.transaction(read_only=True) as tx:
        conversations = (await tx.execute(select(Conversation.id, Conversation.version))).all()
    for conversation in conversations:
        async with whole.db.transaction() as tx:
            await answer(
                tx,
                conversation.id,
                officer,
                text,
                conversation.version,
                teams=world.teams[:1],
            )


@pytest.mark.timeout(180)
async def test_out_to_the_right_people_once_and_back_to_the_right_queue(whole: Running) -> None:
    async with whole.db.transaction() as tx:
        world = await make_places(tx)
        await make_people(tx, world, MOBILES)
        await make_people(tx, world, PEOPLE - MOBILES, media=("email",))
    message = await publish(whole, world)
    await until(lambda: is_over(whole, message), seconds=120, what="the message is over")

    await only_the_chosen_got_it(whole, world, message)

    # A text back, by Twilio's signed hook, to the number it came from.
    text = whole.ends.texts.accepted[0]
    status = await whole.ends.texts.post_incoming(
        f"{whole.web}/hooks/sms_twilio", sender=text.to, to=text.sender, body="The dark path behind the shops"
    )
    assert status == 200
    # And a mail back, over LMTP, to its signed reply address.
    mail = whole.ends.mail.accepted[0]
    await reply_by_mail(whole, mail, "Please light the underpass.")

    async def both_are_queued() -> bool:
        return len(await queue_of(whole, world.teams[0])) == 2

    await until(both_are_queued, seconds=20, what="both replies stand in the team's queue")
    queued = {words.strip(): resolver for resolver, _, words in await queue_of(whole, world.teams[0])}
    assert queued == {
        "The dark path behind the shops": "leased_number",
        "Please light the underpass.": "reply_token",
    }
    assert all(reason for _, reason, _ in await queue_of(whole, world.teams[0]))
    for other in [*world.teams[1:], world.central]:
        assert await queue_of(whole, other) == []

    # The officer answers both; each goes back by the way its question came, and its reply threads back.
    await answer_all(whole, world, "We will look at it on Monday.")

    def answered() -> tuple[list[AcceptedMail], list[object]]:
        mails = [m for m in list(whole.ends.mail.accepted)[-3:] if "look at it on Monday" in m.text()]
        texts = [t for t in list(whole.ends.texts.accepted)[-3:] if "look at it on Monday" in t.body]
        return mails, texts  # type: ignore[return-value]

    await until(lambda: all(answered()), seconds=20, what="both answers went out")
    (back,), (texted,) = answered()
    assert back.to == mail.to
    assert texted.to == text.to  # type: ignore[attr-defined]
    assert back.message["In-Reply-To"]
    await reply_by_mail(whole, back, "Thank you.")

    async def three_are_queued() -> bool:
        return len(await queue_of(whole, world.teams[0])) == 3

    await until(three_are_queued, seconds=20, what="the reply to the answer is queued too")
    async with whole.db.transaction(read_only=True) as tx:
        assert len((await tx.execute(select(Conversation.id))).all()) == 2
        names = (
            await tx.execute(select(Team.slug).join(Conversation, Conversation.team_id == Team.id))
        ).scalars()
        assert set(names) == {"abbey-bridge"}


async def test_an_unsigned_text_is_refused_and_leaves_no_trace(whole: Running) -> None:
    async with whole.db.transaction() as tx:
        await make_places(tx)
    whole.ends.texts.auth_token = "not-the-token"
    status = await whole.ends.texts.post_incoming(
        f"{whole.web}/hooks/sms_twilio", sender="+447700900001", to="+447700900990", body="STOP"
    )
    assert status == 403
    async with whole.db.transaction(read_only=True) as tx:
        assert (await tx.execute(select(ConversationEntry.id))).all() == []
