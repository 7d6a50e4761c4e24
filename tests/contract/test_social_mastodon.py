"""Posts on Mastodon: what each answer means, how a second try is known, and what people say."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from channels.base import (
    Accepted,
    Content,
    Doubt,
    Failed,
    Incoming,
    Medium,
    Outgoing,
    Refusal,
    Refused,
    Throttled,
    Unknown,
)
from channels.errors import CannotExpress, CannotPoll, NotConfigured
from channels.social_mastodon import KEYS_ARE_KEPT, SocialMastodon
from tests.fakes import mastodon
from tests.fakes.mastodon import ACCOUNT, TOKEN, FakeMastodon
from tests.fakes.web import Answer, Trouble

WORDS = "Meeting & tea\n\nAt the hall: https://link.example/m/1"


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
async def server() -> AsyncIterator[FakeMastodon]:
    async with FakeMastodon() as fake:
        yield fake


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def channel(server: FakeMastodon, clock: Clock) -> AsyncIterator[SocialMastodon]:
    async with SocialMastodon({ACCOUNT: TOKEN}, api_url=server.url, timeout_seconds=1.5, now=clock) as made:
        yield made


def outgoing(channel: SocialMastodon, words: str = WORDS) -> Outgoing:
    prepared = channel.prepare(Content(medium=Medium.SOCIAL, language="cy", text=words))
    return Outgoing(attempt="a.mac", delivery="d.mac", to=ACCOUNT, prepared=prepared, values={})


async def heard(channel: SocialMastodon, cursor: str = "") -> tuple[list[Incoming], str]:
    events, cursor = await channel.poll(cursor)
    return [event for event in events if isinstance(event, Incoming)], cursor


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (mastodon.UNAUTHORISED, Refusal.NOT_ALLOWED),
        (mastodon.SUSPENDED, Refusal.NOT_ALLOWED),
        (mastodon.problem(404), Refusal.NOT_ALLOWED),
        (mastodon.problem(301), Refusal.NOT_ALLOWED),
        (mastodon.TOO_LONG, Refusal.CONTENT),
        (mastodon.problem(400), Refusal.CONTENT),
    ],
)
async def test_an_answer_means_what_it_says(
    channel: SocialMastodon, server: FakeMastodon, answer: Answer, why: Refusal
) -> None:
    server.script("send", answer)
    found = await channel.send(outgoing(channel))
    assert isinstance(found, Refused)
    assert found.why is why


@pytest.mark.parametrize("trouble", [Trouble.TAKE_AND_CUT, Trouble.TAKE_AND_FAIL, Trouble.FAIL_AS_HTML])
async def test_no_clear_answer_is_in_doubt_and_the_second_try_is_the_same_post(
    channel: SocialMastodon, server: FakeMastodon, trouble: Trouble
) -> None:
    server.script("send", trouble)
    assert isinstance(await channel.send(outgoing(channel)), Unknown)
    again = await channel.send(outgoing(channel))
    assert again == Accepted(provider_id=server.accepted[0].id)
    assert [(post.key, post.language, post.account) for post in server.accepted] == [("d.mac", "cy", ACCOUNT)]


async def test_too_fast_waits_until_the_limit_begins_anew(
    channel: SocialMastodon, server: FakeMastodon
) -> None:
    server.script("send", mastodon.throttled(120))
    found = await channel.send(outgoing(channel))
    assert isinstance(found, Throttled)
    assert 110 < found.after_seconds <= 120


def after_a_restart(channel: SocialMastodon, since: datetime, *claimed: str) -> Outgoing:
    """The same delivery, as the ledger knows it: a channel that was made anew knows nothing."""
    doubt = Doubt(since=since, claimed=frozenset(claimed))
    return replace(outgoing(channel), attempt="b.mac", doubt=doubt)


async def test_what_was_in_doubt_for_longer_than_keys_are_kept_is_looked_for_first(
    channel: SocialMastodon, server: FakeMastodon, clock: Clock
) -> None:
    begun = clock.now
    server.script("send", Trouble.TAKE_AND_CUT)
    assert isinstance(await channel.send(outgoing(channel)), Unknown)
    server.forget_keys()
    clock.now += KEYS_ARE_KEPT + timedelta(minutes=1)
    server.script("timeline", Trouble.FAIL_AS_HTML)
    again = after_a_restart(channel, begun)
    assert isinstance(await channel.send(again), Throttled)
    assert await channel.send(again) == Accepted(provider_id=server.accepted[0].id)
    assert len(server.accepted) == 1


async def test_what_never_came_is_posted_after_the_look(
    channel: SocialMastodon, server: FakeMastodon, clock: Clock
) -> None:
    begun = clock.now
    server.script("send", Trouble.FAIL_AS_HTML)
    assert isinstance(await channel.send(outgoing(channel)), Unknown)
    clock.now += KEYS_ARE_KEPT + timedelta(minutes=1)
    assert isinstance(await channel.send(after_a_restart(channel, begun)), Accepted)


async def test_another_messages_post_of_the_same_words_is_not_taken_for_it(
    channel: SocialMastodon, server: FakeMastodon, clock: Clock
) -> None:
    begun = clock.now
    await channel.send(replace(outgoing(channel), delivery="other.mac"))
    clock.now += KEYS_ARE_KEPT + timedelta(minutes=1)
    again = after_a_restart(channel, begun, server.accepted[0].id)
    assert await channel.send(again) == Accepted(provider_id=server.accepted[1].id)


async def test_an_earlier_post_of_the_same_words_is_no_evidence(
    channel: SocialMastodon, server: FakeMastodon
) -> None:
    message = outgoing(channel)
    await channel.send(message)
    earlier = server.accepted[0]
    assert isinstance(await channel.look_up(message, since=earlier.at + timedelta(minutes=2)), Failed)
    assert isinstance(await channel.look_up(message, claimed={earlier.id}), Failed)
    assert await channel.look_up(message, since=earlier.at) == Accepted(provider_id=earlier.id)


async def test_each_account_posts_with_its_own_token() -> None:
    accounts = {ACCOUNT: "one", "@alder@police.example": "two"}
    async with (
        FakeMastodon({token: name for name, token in accounts.items()}) as server,
        SocialMastodon(accounts, api_url=server.url) as channel,
    ):
        for name in accounts:
            assert isinstance(await channel.send(replace(outgoing(channel), to=name)), Accepted)
        assert isinstance(await channel.send(replace(outgoing(channel), to="@no@body.example")), Refused)
    assert [post.account for post in server.accepted] == [*accounts]


def test_a_post_is_measured_as_a_server_does() -> None:
    channel = SocialMastodon({})
    long_link = f"https://link.org.uk/{'a' * 300}"
    assert channel.size(f"See {long_link} 👍🏽").length == 4 + 23 + 2
    assert channel.size("With @parks@council.example").length == 5 + 6
    assert channel.size("Write to parks@council.example").length == 30
    channel.prepare(Content(medium=Medium.SOCIAL, language="en", text="é" * 500))
    with pytest.raises(CannotExpress, match="1 characters too long"):
        channel.prepare(Content(medium=Medium.SOCIAL, language="en", text="a" * 501))
    SocialMastodon({}, most_characters=5000).prepare(
        Content(medium=Medium.SOCIAL, language="en", text="a" * 501)
    )


@pytest.mark.parametrize("most", ["many", "0", "-5", "1e3"])
def test_a_limit_that_is_no_number_is_refused(most: str) -> None:
    env = {"NOTIFIER_MASTODON_ACCOUNTS": f"{ACCOUNT}=t", "NOTIFIER_MASTODON_CHARACTERS": most}
    with pytest.raises(NotConfigured, match="NOTIFIER_MASTODON_CHARACTERS"):
        SocialMastodon.from_env(env)


# --- What people say ----------------------------------------------------------------------------


async def test_an_answer_is_told_as_plain_words_with_who_wrote_it(
    channel: SocialMastodon, server: FakeMastodon
) -> None:
    server.mention("Is it open? <b> & more", answers="1001")
    server.mention("Thanks", sender="Neighbour", warning="About dogs")
    (first, second), cursor = await heard(channel)
    assert (first.sender, first.recipient, first.text, first.in_reply_to) == (
        "@joe@elsewhere.example",
        ACCOUNT,
        "Is it open? <b> & more",
        "1001",
    )
    assert (second.sender, second.text) == ("@neighbour@police.example", "About dogs\n\nThanks")
    assert await heard(channel, cursor) == ([], cursor)


async def test_everything_since_is_told_oldest_first_in_as_many_calls_as_it_takes(
    channel: SocialMastodon, server: FakeMastodon
) -> None:
    server.mention("first")
    _, cursor = await heard(channel)
    for number in range(230):
        server.mention(f"lamp {number}")
    told: list[str] = []
    while events := (await heard(channel, cursor))[0]:
        told += [event.text for event in events]
        _, cursor = await heard(channel, cursor)
    assert told == [f"lamp {number}" for number in range(230)]


async def test_what_was_said_before_yesterday_is_not_told(
    channel: SocialMastodon, server: FakeMastodon
) -> None:
    server.mention("old", at=datetime.now(UTC) - timedelta(days=2))
    server.mention("new")
    events, _ = await heard(channel)
    assert [event.text for event in events] == ["new"]


@pytest.mark.parametrize(
    ("answer", "least"),
    [
        (partial(mastodon.throttled, 300), 250),
        (lambda: mastodon.UNAUTHORISED, 0),
        (lambda: Trouble.FAIL_AS_HTML, 0),
    ],
)
async def test_a_server_that_cannot_be_asked_says_when_it_can(
    channel: SocialMastodon, server: FakeMastodon, answer: Callable[[], Answer | Trouble], least: int
) -> None:
    server.script("notifications", answer())
    with pytest.raises(CannotPoll) as error:
        await channel.poll("")
    assert least <= error.value.after_seconds <= 300
