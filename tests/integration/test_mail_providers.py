"""Mail through a provider and back, on both databases: sent over SMTP, told of by its calls, applied once, stopped where asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import func, select

from channels.email_mailgun import EmailMailgun
from channels.email_postmark import EmailPostmark
from channels.email_provider import EmailProvider
from channels.email_ses import EmailSes
from channels.registry import Channels
from channels.smtp_pool import Server
from channels.sns import Sns
from notifier import config
from notifier.db import Database
from notifier.delivery import proof
from notifier.models import Delivery, IncomingState, ReceiptRow
from notifier.runtime import Service
from notifier.web.app import make_app
from notifier.worker import Worker
from subscribers.models import ContactPoint, Suppression
from tests.fakes import mailgun, postmark, ses
from tests.fakes.mail_provider import Call, FakeMailProvider, Fate
from tests.fakes.smtp import AcceptedMail, Trouble
from tests.fakes.web import Answer
from tests.integration.ledger import publish, world_of
from tests.integration.replies import DOMAIN, handled, kept, mail, reply_to
from tests.world import World

PUBLIC = "https://link.example"
# What befalls each person's mail → how the delivery and their address stand in the end.
STORIES: tuple[tuple[tuple[Fate, ...], str, str], ...] = (
    ((Fate.DELIVERED, Fate.OPENED, Fate.CLICKED), "delivered", "active"),
    ((Fate.DELAYED, Fate.DELIVERED), "delivered", "active"),
    ((Fate.DELAYED,), "accepted", "active"),
    ((Fate.BOUNCED_HARD,), "bounced", "bounced"),
    ((Fate.DELIVERED, Fate.BOUNCED_SOFT), "bounced", "active"),
    ((Fate.REJECTED,), "bounced", "active"),
    ((Fate.NOT_SENT,), "undelivered", "active"),
    ((Fate.DELIVERED, Fate.COMPLAINED), "complained", "stopped"),
    ((Fate.COMPLAINED, Fate.DELIVERED), "complained", "stopped"),
    ((Fate.DELIVERED, Fate.LEFT), "delivered", "stopped"),
    ((Fate.SUPPRESSED,), "undelivered", "stopped"),
)


@dataclass(frozen=True, kw_only=True)
class Running:
    """A service whose mail goes through a provider, and the provider."""

    db: Database
    service: Service
    provider: FakeMailProvider
    client: TestClient[Any, Any]
    channel: str

    async def deliver(self, world: World) -> None:
        """Publish a message, send it, and let the provider tell all."""
        await publish(self.db, world, wards=(0,), media=("email",))
        await Worker(self.service, self.db.jobs).drain()
        await self.provider.told()

    async def post(self, call: Call, *, query: str = "") -> int:
        path = f"/hooks/{self.channel}{query}"
        answered = await self.client.post(path, data=BytesIO(call.body), headers=dict(call.headers))
        return answered.status

    async def snapshot(self) -> list[Any]:
        """All that a call may change."""
        async with self.db.transaction(read_only=True) as tx:
            rows = await tx.execute(
                select(ContactPoint.id, ContactPoint.state, ContactPoint.bounce_score, Delivery.state)
                .join(Delivery, Delivery.contact_point_id == ContactPoint.id)
                .order_by(ContactPoint.id)
            )
            found = [tuple(row) for row in rows]
            counted = [select(func.count()).select_from(table) for table in (ReceiptRow, Suppression)]
            return [*found, *[await tx.scalar(each) for each in counted]]


def _channel(provider: FakeMailProvider) -> EmailProvider:
    server, domain = Server.of(provider.url), DOMAIN
    match provider:
        case ses.FakeSes():
            return EmailSes(server, domain, sns=Sns([ses.TOPIC], origin=provider.sns.url))
        case mailgun.FakeMailgun():
            return EmailMailgun(server, domain, signing_keys=[mailgun.KEY])
        case _:
            return EmailPostmark(server, domain, credentials=[f"{postmark.USER}:{postmark.PASSWORD}"])


@asynccontextmanager
async def running(db: Database, kind: type[FakeMailProvider]) -> AsyncIterator[Running]:
    async with kind() as provider, _channel(provider) as channel:
        name = channel.name
        db.carriers = {"email": name}
        variables = {"NOTIFIER_BASE_URL": PUBLIC, "NOTIFIER_MAIL_DOMAIN": DOMAIN, "NOTIFIER_CHANNELS": name}
        environment = config.build(variables)
        service = Service(environment=environment, db=db, channels=Channels([channel]))
        async with TestClient(TestServer(make_app(service))) as client:
            provider.hook_url = str(client.make_url(f"/hooks/{name}"))
            yield Running(db=db, service=service, provider=provider, client=client, channel=name)


every_provider = pytest.mark.parametrize("kind", [ses.FakeSes, mailgun.FakeMailgun, postmark.FakePostmark])


@every_provider
async def test_what_the_provider_tells_reaches_the_ledger_once_and_stops_whom_it_must(
    db: Database, kind: type[FakeMailProvider]
) -> None:
    world = await world_of(db, len(STORIES), media=("email",), wards=(0,))
    points = [world.points[person, "email"] for person in world.subscribers]
    async with running(db, kind) as it:
        for point, (fates, _, _) in zip(points, STORIES, strict=True):
            it.provider.fates[world.addresses[point]] = fates
        await it.deliver(world)
        assert set(it.provider.answers) == {200}
        found = await it.snapshot()
        ends = {row[0]: (row[3], row[1]) for row in found if isinstance(row, tuple)}
        assert [ends[point] for point in points] == [(state, standing) for _, state, standing in STORIES]
        async with db.transaction(read_only=True) as tx:
            orphans = await tx.scalar(select(func.count()).where(ReceiptRow.delivery_id.is_(None)))
            listed = set((await tx.execute(select(Suppression.address_hash))).scalars())
            stopped = [point for point, (_, _, end) in zip(points, STORIES, strict=True) if end == "stopped"]
            assert listed == {tx.keys.address_hash("email", world.addresses[point]) for point in stopped}
        assert orphans == 0
        for call in list(it.provider.calls):  # a provider that lost our answers says it all again
            assert await it.post(call) == 200
        assert await it.snapshot() == found
    assert (await proof.prove(lambda: db.transaction(read_only=True))).findings == []


@every_provider
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_mail_in_doubt_is_told_of_by_the_attempt_it_names(
    db: Database, kind: type[FakeMailProvider]
) -> None:
    """The answer was lost, so we never learnt the provider's id."""
    world = await world_of(db, 1, media=("email",), wards=(0,))
    point = world.points[world.subscribers[0], "email"]
    async with running(db, kind) as it:
        it.provider.script_text(world.addresses[point], Trouble.CUT_AFTER_DOT)
        await it.deliver(world)
        assert [row[3] for row in await it.snapshot() if isinstance(row, tuple)] == ["delivered"]


@every_provider
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_forged_call_changes_nothing(db: Database, kind: type[FakeMailProvider]) -> None:
    world = await world_of(db, 1, media=("email",), wards=(0,))
    async with running(db, kind) as it:
        it.provider.usual = ()
        await it.deliver(world)
        before = await it.snapshot()
        (sent,) = list(it.provider.accepted)
        genuine = it.provider.call_of(Fate.COMPLAINED, sent)
        bare = {"Content-Type": genuine.headers["Content-Type"]}
        body = genuine.body.replace(b'"signature":"', b'"signature":"0').replace(
            b'"Signature":"', b'"Signature":"A'
        )
        assert await it.post(Call(body, bare)) == 403
        assert await it.post(Call(b"", bare)) == 403
        assert await it.snapshot() == before
        assert await it.post(genuine) == 200
        assert await it.snapshot() != before


@every_provider
async def test_a_reply_that_the_provider_takes_in_reaches_the_queue_once(
    db: Database, kind: type[FakeMailProvider]
) -> None:
    world = await world_of(db, 1, media=("email",), wards=(0,))
    point = world.points[world.subscribers[0], "email"]
    async with running(db, kind) as it:
        await it.deliver(world)
        to = await reply_to(db, point)
        raw = mail(sender=world.addresses[point], to=to, text="I will bring my neighbour.")
        call = it.provider.call_with(AcceptedMail(sender=world.addresses[point], to=to, raw=raw))
        for _ in range(2):
            assert await it.post(call, query="?mime" if kind is mailgun.FakeMailgun else "") == 200
        (row,) = await kept(db)
        assert (row.channel, row.recipient, row.state) == ("email", to, IncomingState.STORED)
        done = await handled(db, row.id)
        assert done.conversation is not None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_call_whose_certificate_is_out_of_reach_is_asked_for_again(db: Database) -> None:
    """SNS takes a 403 for the last word, and would never tell again."""
    async with running(db, ses.FakeSes) as it:
        assert isinstance(it.provider, ses.FakeSes)
        it.provider.sns.script("pem", Answer(status=503))
        call = it.provider.notify({"eventType": "Open"})
        assert await it.post(call) == 503


@pytest.mark.parametrize("kind", [postmark.FakePostmark])
async def test_who_leaves_at_the_provider_and_was_never_here_is_filed_and_no_more(
    db: Database, kind: type[FakeMailProvider]
) -> None:
    await world_of(db, 1, media=("email",), wards=(0,))
    async with running(db, kind) as it:
        stranger = AcceptedMail(sender="x@link.example", to="Nobody@Elsewhere.example", raw=b"\r\n")
        before = await it.snapshot()
        assert await it.post(it.provider.call_of(Fate.LEFT, stranger)) == 200
        assert await it.snapshot() == before
        (row,) = await kept(db)
        assert (row.state, row.kind, row.channel) == (IncomingState.FILED, "stop", "email_postmark")
