"""Posts on several accounts, and what people say to them: planned, shown, sent and heard, on both databases."""

import asyncio
import itertools
from uuid import UUID

import pytest
from sqlalchemy import func, insert, select, update

from channels.base import Incoming, Medium
from channels.memory import Memory
from channels.posts import MOST_AT_ONCE
from channels.registry import Channels
from channels.social_bluesky import SocialBluesky
from channels.social_mastodon import SocialMastodon
from channels.social_x import SocialX
from notifier import config
from notifier.carriers import Carrier, Carriers
from notifier.db import Database
from notifier.delivery.accounts import accounts_of
from notifier.delivery.preview import previews
from notifier.inbox import answer, receive
from notifier.inbox.handle import Handled
from notifier.models import BreakerRow, Delivery, IncomingRow, IncomingState, Lane, Notice, Team
from notifier.runtime import Service
from notifier.staff import teams
from notifier.web.desk.banner import banner
from notifier.worker import Worker
from tests.fakes import bluesky, mastodon, x
from tests.fakes.web import Trouble
from tests.integration.ledger import publish, world_of
from tests.integration.replies import handled, seen, settings
from tests.providers import until
from tests.world import World

ON_X, ON_MASTODON, ON_BLUESKY = "@castledock", mastodon.ACCOUNT, bluesky.HANDLE
SOCIAL = ("social_x", "social_mastodon")
_numbers = itertools.count(1)


def carried_by(*social: str) -> Carriers:
    several = {medium: [Carrier(channel="memory", weight=1)] for medium in ("email", "sms")}
    posting = [Carrier(channel=name, weight=int(not at)) for at, name in enumerate(social)]
    return Carriers({**several, Medium.SOCIAL: posting})


async def world_with_accounts(db: Database, people: int = 4) -> World:
    """The first team posts on X, on Mastodon, and on Bluesky, whose channel is not open."""
    db.carriers = carried_by(*SOCIAL)
    world = await world_of(db, people, media=("email",))
    async with db.transaction() as tx:
        for own in await accounts_of(tx, world.teams[0]):
            await teams.take_account(tx, world.teams[0], world.addresses[own.contact_point])
        for account, channel in (
            (ON_X, None),
            (ON_MASTODON, "social_mastodon"),
            (ON_BLUESKY, "social_bluesky"),
        ):
            await teams.add_address(tx, world.teams[0], Medium.SOCIAL, account, channel=channel)
    return world


async def posts_of(db: Database, message: UUID) -> dict[str, tuple[str, str | None]]:
    """Channel → state of the post it carries, and its provider's id."""
    async with db.transaction(read_only=True) as tx:
        rows = await tx.execute(
            select(Delivery.channel, Delivery.state, Delivery.provider_id).where(
                Delivery.message_id == message, Delivery.channel.like("social%")
            )
        )
        return {row.channel: (row.state, row.provider_id) for row in rows}


async def test_a_post_is_planned_on_each_account_by_its_channel_where_that_is_open(db: Database) -> None:
    world = await world_with_accounts(db)
    message = await publish(db, world, media=("email", "social"))  # compares the plan with the reach shown
    assert await posts_of(db, message) == dict.fromkeys(SOCIAL, ("pending", None))


async def test_an_account_may_change_its_channel_and_be_taken_away(db: Database) -> None:
    world = await world_with_accounts(db)
    async with db.transaction() as tx:
        assert {each.channel for each in await accounts_of(tx, world.teams[0])} == set(SOCIAL)
        await teams.add_address(tx, world.teams[0], Medium.SOCIAL, ON_MASTODON, channel="social_bluesky")
        assert {each.channel for each in await accounts_of(tx, world.teams[0])} == {"social_x"}
        assert await teams.take_account(tx, world.teams[0], ON_X)
        assert not await teams.take_account(tx, world.teams[0], ON_X)
        assert await accounts_of(tx, world.teams[0]) == []


async def test_the_preview_shows_what_each_network_will_show(db: Database) -> None:
    world = await world_with_accounts(db)
    long = {"en": ("Patrols tonight", "We will be in the park. " * 15)}
    message = await publish(db, world, media=("email", "social"), texts=long)
    opened = Channels([Memory(), SocialX("a", "b", {ON_X: "c:d"}), SocialMastodon({ON_MASTODON: "t"})])
    async with db.transaction(read_only=True) as tx:
        shown = await previews(tx, message, opened, settings())
    by_channel = {each.channel: each for each in shown if each.medium is Medium.SOCIAL}
    assert [*by_channel] == [*SOCIAL]
    assert "…" in by_channel["social_x"].content.text
    assert by_channel["social_mastodon"].content.text.count("park") == 15
    assert [(each.estimate.limit, each.posts, each.problem) for each in by_channel.values()] == [
        (280, 1, ""),
        (500, 1, ""),
    ]
    assert by_channel["social_x"].estimate.cost_pence > 0


@pytest.mark.parametrize(
    "down",
    [Trouble.HANG, mastodon.SUSPENDED, mastodon.throttled(3600)],
    ids=["hangs", "refuses", "throttles"],
)
async def test_a_network_that_fails_delays_neither_mail_nor_the_other_networks(
    db: Database, down: object
) -> None:
    world = await world_with_accounts(db, people=12)
    async with (
        mastodon.FakeMastodon() as server,
        x.FakeX() as fake_x,
        SocialX("a", "b", {ON_X: "c:d"}, api_url=fake_x.url) as on_x,
        SocialMastodon({ON_MASTODON: mastodon.TOKEN}, api_url=server.url, timeout_seconds=1.5) as on_mastodon,
        Memory() as memory,
    ):
        server.always("send", down)  # type: ignore[arg-type]
        environment = config.build({"NOTIFIER_CHANNELS": "memory", "NOTIFIER_TIME_FACTOR": "0.01"})
        channels = Channels([memory, on_x, on_mastodon])
        worker = Worker(Service(environment=environment, db=db, channels=channels), db.jobs)
        message = await publish(db, world, media=("email", "social"))
        async with db.transaction(read_only=True) as tx:
            mails = await tx.scalar(select(func.count()).where(Delivery.channel == "memory"))
        assert mails
        serving = asyncio.create_task(worker.drain())  # it never comes to rest while the network is down
        try:
            await until(
                lambda: len(memory.sent) == mails and len(fake_x.accepted) == 1,
                seconds=10,
                what="others go on",
            )
            assert len(server.accepted) == 0
            found = await posts_of(db, message)
            assert found["social_mastodon"][0] not in ("accepted", "held", "failed")
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


async def test_many_posts_to_a_network_that_hangs_leave_places_for_mail(db: Database) -> None:
    world = await world_with_accounts(db)
    async with (
        mastodon.FakeMastodon() as server,
        SocialMastodon({ON_MASTODON: mastodon.TOKEN}, api_url=server.url, timeout_seconds=30) as channel,
        Memory() as memory,
    ):
        server.always("send", Trouble.HANG)
        environment = config.build({"NOTIFIER_CHANNELS": "memory", "NOTIFIER_SLOTS": "4"})
        worker = Worker(
            Service(environment=environment, db=db, channels=Channels([memory, channel])), db.jobs
        )
        for number in range(6):
            await publish(db, world, media=("social",), texts={"en": (f"Update {number}", "Patrols tonight")})
        await publish(db, world, media=("email",))
        serving = asyncio.create_task(worker._pipeline(Lane.WARD).run())
        try:
            await until(lambda: memory.sent, seconds=10, what="mail goes out while posts hang")
            assert len(server.calls) == MOST_AT_ONCE
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


async def test_what_posts_cost_stops_at_the_days_limit(db: Database) -> None:
    world = await world_with_accounts(db)
    async with (
        x.FakeX() as fake_x,
        SocialX("a", "b", {ON_X: "c:d"}, api_url=fake_x.url, pence=1, link_pence=16) as on_x,
        Memory() as memory,
    ):
        limited = {
            "NOTIFIER_CHANNELS": "memory",
            "NOTIFIER_SPEND_A_DAY": "social_x=0.40",
            "NOTIFIER_BASE_URL": "https://link.org.uk",
        }
        service = Service(environment=config.build(limited), db=db, channels=Channels([memory, on_x]))
        messages = [
            await publish(db, world, media=("social",), texts={"en": (f"Update {number}", "Patrols tonight")})
            for number in range(3)
        ]
        await Worker(service, db.jobs).drain()
        assert len(fake_x.accepted) == 2
        states = sorted([(await posts_of(db, message))["social_x"][0] for message in messages])
    assert states == ["accepted", "accepted", "pending"]


async def test_the_desk_names_the_network_that_is_down(db: Database) -> None:
    db.carriers = carried_by(*SOCIAL)
    async with db.transaction() as tx:
        await tx.execute(insert(BreakerRow).values(channel="social_mastodon", domain="", state="operator"))
        shown = await banner(tx, None)
    assert shown is not None
    assert [line[0] for line in shown.lines] == ["Posts on Mastodon cannot be sent."]


# --- What people say ----------------------------------------------------------------------------


async def say(
    db: Database, text: str, *, to: str = ON_X, answers: str = "", sender: str = "@joe_resident"
) -> Handled:
    event = Incoming(
        event_id=f"{next(_numbers)}",
        medium=Medium.SOCIAL,
        sender=sender,
        recipient=to,
        text=text,
        at=None,
        raw=b"{}",
        in_reply_to=answers,
    )
    async with db.transaction() as tx:
        stored = await receive.store(tx, "social_x", event)
    return await handled(db, stored.id)


async def posted(db: Database, world: World, provider_id: str) -> UUID:
    """A message of the first team, posted on X under that id."""
    message: UUID = await publish(db, world, media=("social",))
    async with db.transaction() as tx:
        await tx.execute(
            update(Delivery)
            .where(Delivery.message_id == message, Delivery.channel == "social_x")
            .values(provider_id=provider_id, state="accepted")
        )
    return message


async def test_an_answer_under_a_post_goes_to_the_team_that_posted_it(db: Database) -> None:
    world = await world_with_accounts(db)
    message = await posted(db, world, "1001")
    done = await say(db, "Will you be there at 8?", to="@nobodys", answers="1001")
    assert done.resolver == "reply_token"
    talk = await seen(db, done)
    assert talk.team == world.teams[0]
    assert talk.message == message
    assert talk.shown_address == "@joe_resident"
    again = await say(db, "And on Sunday?", to="@nobodys", answers="1001")
    assert again.conversation == done.conversation
    other = await say(db, "Me too", to="@nobodys", answers="1001", sender="@ann")
    assert other.conversation != done.conversation


async def test_a_mention_goes_to_the_accounts_team_and_else_to_central_triage(db: Database) -> None:
    world = await world_with_accounts(db)
    mentioned = await say(db, "The lamp on my road is out")
    assert (await seen(db, mentioned)).team == world.teams[0]
    unknown = await say(db, "Hello", to="@borough", answers="no-such-post", sender="@eve")
    async with db.transaction(read_only=True) as tx:
        kind = await tx.scalar(select(Team.kind).where(Team.id == (await seen(db, unknown)).team))
    assert kind == "central"


@pytest.mark.parametrize(
    "text", ["STOP", "START", "HELP", "yes", "1", "123456", "There is a man with a knife"]
)
async def test_nothing_said_in_public_is_a_command_and_nothing_is_said_back(db: Database, text: str) -> None:
    world = await world_with_accounts(db)
    done = await say(db, text)
    assert done.state is IncomingState.ROUTED
    talk = await seen(db, done)
    assert (talk.team, talk.urgent) == (world.teams[0], "knife" in text or text == "HELP")
    assert talk.why_not == answer.IN_PUBLIC
    async with db.transaction(read_only=True) as tx:
        assert (await tx.execute(select(Notice.id))).all() == []


async def test_what_our_own_accounts_say_is_filed(db: Database) -> None:
    world = await world_with_accounts(db)
    assert world.teams
    done = await say(db, "Hello from next door", sender=ON_MASTODON)
    assert done.state is IncomingState.FILED


async def test_the_same_words_heard_twice_are_kept_once(db: Database) -> None:
    await world_with_accounts(db)
    async with bluesky.FakeBluesky() as server:
        server.mention("Lamp out", root="at://did:plc:us/app.bsky.feed.post/1")
        async with SocialBluesky({ON_BLUESKY: bluesky.PASSWORD}, api_url=server.url) as channel:
            for _ in range(2):
                events, _ = await channel.poll("")
                async with db.transaction() as tx:
                    for event in events:
                        assert isinstance(event, Incoming)
                        await receive.store(tx, channel.name, event)
    async with db.transaction(read_only=True) as tx:
        rows = (await tx.execute(select(IncomingRow.in_reply_to))).scalars().all()
    assert rows == ["at://did:plc:us/app.bsky.feed.post/1"]
