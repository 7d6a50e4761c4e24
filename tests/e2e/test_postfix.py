"""A real Postfix between us and the world: as the relay we send through, and as the MX that hands us what comes back.

One message goes out, one reply comes back into the team's queue, and one bounce that Postfix writes itself ends in the
delivery it is about. The signature we made still holds where the mail arrived.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from email.message import EmailMessage, Message
from email.parser import BytesParser
from pathlib import Path

import aiosmtplib
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy import select

from channels.dkim_checking import fault_of, signatures_of
from channels.dkim_signing import Signer
from notifier import config
from notifier.broadcast import approve, draft
from notifier.db import Database
from notifier.inbox.receive import RAW
from notifier.models import Conversation, ConversationEntry, Delivery, DeliveryState, IncomingRow
from notifier.runtime import Service, channel_variables, open_service
from notifier.web.mail import listen
from notifier.worker import Worker
from tests.fakes.smtp import AcceptedMail, FakeSmtp
from tests.postfix import needs_postfix, postfix
from tests.processes import free_port
from tests.providers import DOMAIN, SECRET, until
from tests.world import World, make_people, make_places, ward

pytestmark = [*needs_postfix, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
READER, GONE = "person0@mail.example", "person1@mail.example"


@dataclass
class Running:
    """The service with one worker and its listener, Postfix before and behind it, and the world beyond."""

    service: Service
    world: FakeSmtp
    mx_port: int
    log: Path

    @property
    def db(self) -> Database:
        return self.service.db

    async def incoming(self) -> list[Message]:
        """What came in, as it was kept: the trace of its envelope first."""
        async with self.db.transaction(read_only=True) as tx:
            rows = (await tx.execute(select(IncomingRow.id, IncomingRow.raw_sealed))).all()
            raws = [tx.keys.open(RAW, row.id, row.raw_sealed) for row in rows]
        return [BytesParser().parsebytes(raw) for raw in raws]


@pytest.fixture
async def whole(database_url: str, tmp_path: Path) -> AsyncIterator[Running]:
    pem = KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "key.pem").write_bytes(pem)
    mx_port = free_port()
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(FakeSmtp())
        environment = config.build(
            {
                "NOTIFIER_DATABASE_URL": database_url,
                "NOTIFIER_SECRET_KEYS": SECRET,
                "NOTIFIER_CHANNELS": "email_smtp",
                "NOTIFIER_SMTP_URL": f"smtp://127.0.0.1:{mx_port}",
                "NOTIFIER_MAIL_DOMAIN": DOMAIN,
                "NOTIFIER_BASE_URL": f"https://{DOMAIN}",
                "NOTIFIER_DKIM_SELECTOR": "s1",
                "NOTIFIER_DKIM_KEY_FILE": str(tmp_path / "key.pem"),
                "NOTIFIER_TIME_FACTOR": "0.2",
            },
            channel_variables,
        )
        service = await stack.enter_async_context(open_service(environment))
        lmtp_port = await stack.enter_async_context(listen(service, "lmtp://127.0.0.1:0"))
        log = await asyncio.to_thread(
            stack.enter_context, running_postfix(mx_port=mx_port, lmtp_port=lmtp_port, world=world)
        )
        worker = Worker(service, service.db.jobs)
        task = asyncio.create_task(worker.run())
        try:
            yield Running(service=service, world=world, mx_port=mx_port, log=log)
        finally:
            worker.stop()
            await task


@contextmanager
def running_postfix(*, mx_port: int, lmtp_port: int, world: FakeSmtp):  # type: ignore[no-untyped-def]
    with postfix(port=mx_port, domain=DOMAIN, lmtp=lmtp_port, sink=world.port) as log:
        yield log


async def publish(whole: Running) -> World:
    """One message to two people of a ward, one of whom has left their mailbox."""
    whole.world.script(GONE, "550 5.1.1 no such user here")
    async with whole.db.transaction() as tx:
        world = await make_places(tx)
        await make_people(tx, world, 2, wards=[0], media=("email",))
    async with whole.db.transaction() as tx:
        written = draft.Draft(
            kind="consultation",
            texts={"en": ("What should we work on?", "Tell us **one thing** we should do in your street.")},
            areas=(ward(0),),
            media=("email",),
            reply_by=tx.now.replace(year=tx.now.year + 1),
        )
        message = await draft.save(tx, written, team=world.teams[0], author=None)
        await approve.approve(tx, message, team=world.teams[0], officer=None)
    return world


async def reply(whole: Running, sent: AcceptedMail) -> None:
    """What a mail program makes of "reply", brought to our MX by the reader's mail server."""
    mail = EmailMessage()
    mail["From"], mail["To"] = READER, sent.message["Reply-To"]
    mail["Subject"], mail["In-Reply-To"] = "Re: What should we work on?", sent.message["Message-ID"]
    mail["Message-ID"] = "<a-reply@mail.example>"
    mail.set_content("Please light the underpass.\n")
    await aiosmtplib.send(mail, hostname="127.0.0.1", port=whole.mx_port, start_tls=False)


async def states(whole: Running) -> dict[str, str]:
    async with whole.db.transaction(read_only=True) as tx:
        rows = (
            await tx.execute(select(Delivery.state, Delivery.reason).where(Delivery.message_id.isnot(None)))
        ).all()
    return {row.state: row.reason for row in rows}


def head(mail: Message) -> str:
    return "\n".join(f"{name}: {value}" for name, value in mail.items())


async def test_out_through_postfix_and_back_as_a_reply_and_as_a_bounce(whole: Running) -> None:
    world = await publish(whole)
    await until(lambda: len(whole.world.accepted) == 1, seconds=20, what="the mail arrived")
    (sent,) = whole.world.accepted
    out = sent.message
    assert (sent.to, out["To"]) == (READER, READER)
    assert sent.sender.startswith("bounce+")
    assert sent.sender.endswith(f"@{DOMAIN}")
    assert f"by mx.{DOMAIN} (Postfix)" in str(out["Received"])
    assert str(out["List-Id"]).endswith(f"<abbey-bridge.{DOMAIN}>")
    assert str(out["List-Unsubscribe"]).startswith(f"<https://{DOMAIN}/unsubscribe/")
    assert out["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert str(out["Feedback-ID"]).endswith(":abbey-bridge:consultation:link-example")
    assert str(out["Reply-To"]).startswith("reply+")
    (signature,) = signatures_of(sent.raw)
    assert fault_of(sent.raw, signature, Signer(DOMAIN, "s1", KEY).record) == ""

    await reply(whole, sent)

    async def is_queued() -> bool:
        async with whole.db.transaction(read_only=True) as tx:
            found = await tx.execute(
                select(ConversationEntry.id)
                .join(Conversation, Conversation.id == ConversationEntry.conversation_id)
                .where(Conversation.team_id == world.teams[0])
            )
            return len(found.all()) == 1

    await until(is_queued, seconds=20, what="the reply stands in the team's queue")

    async def is_bounced() -> bool:
        return DeliveryState.BOUNCED in await states(whole)

    await until(is_bounced, seconds=20, what="the bounce ended in its delivery")
    assert set(await states(whole)) == {DeliveryState.ACCEPTED, DeliveryState.BOUNCED}

    kept = {mail.get_content_type(): mail for mail in await whole.incoming()}
    assert set(kept) == {"text/plain", "multipart/report"}
    assert kept["text/plain"]["In-Reply-To"] == out["Message-ID"]
    bounce = kept["multipart/report"]
    assert f"MAILER-DAEMON@mx.{DOMAIN}" in bounce["From"]
    assert str(bounce["To"]).startswith("bounce+")
    assert bounce["Auto-Submitted"] == "auto-replied"
    assert "Status: 5.1.1" in bounce.as_string()
    for what, mail in (("out", out), ("reply", kept["text/plain"]), ("bounce", bounce)):
        print(f"--- {what}\n{head(mail)}\n")  # noqa: T201 - shown by `pytest -s`


async def test_a_mailbox_in_other_letters_is_reached_through_postfix(whole: Running) -> None:
    channel = whole.service.channels["email_smtp"]
    from tests.contract.test_email_smtp import outgoing

    outcome = await channel.send(outgoing(channel, "siôn@mail.example"))  # type: ignore[arg-type]
    assert type(outcome).__name__ == "Accepted"
    await until(lambda: len(whole.world.accepted) == 1, seconds=20, what="the mail arrived")
    (sent,) = whole.world.accepted
    assert (sent.to, "SMTPUTF8" in sent.options) == ("siôn@mail.example", True)
    assert "\r\nTo: siôn@mail.example\r\n".encode() in sent.raw
