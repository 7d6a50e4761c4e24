"""Posts on X: what each answer means, and how a post in doubt is found."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from channels.base import (
    Accepted,
    Content,
    Failed,
    Incoming,
    Medium,
    Outgoing,
    Refusal,
    Refused,
    Throttled,
    Unknown,
    Where,
    hole,
)
from channels.errors import CannotExpress, CannotPoll, NotConfigured
from channels.posts import DUPLICATE
from channels.social_x import EVERYBODY, SocialX
from tests.fakes import x
from tests.fakes.web import Answer, Trouble


@pytest.fixture
async def provider() -> AsyncIterator[x.FakeX]:
    async with x.FakeX() as fake:
        yield fake


@pytest.fixture
async def channel(provider: x.FakeX) -> AsyncIterator[SocialX]:
    async with SocialX("a", "b", {EVERYBODY: "c:d"}, api_url=provider.url, timeout_seconds=1.5) as made:
        yield made


def outgoing(channel: SocialX, words: str = "Meeting & tea: https://link.example/m/1") -> Outgoing:
    prepared = channel.prepare(Content(medium=Medium.SOCIAL, language="en", text=words))
    return Outgoing(
        attempt="a.mac", delivery="d.mac", to="@southmere", prepared=prepared, values={"ward": "Abbey" * 60}
    )


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (x.problem(400), Refusal.CONTENT),
        (x.UNAUTHORISED, Refusal.NOT_ALLOWED),
        (x.NO_CREDIT, Refusal.NOT_ALLOWED),
        (x.SUSPENDED, Refusal.NOT_ALLOWED),
        (x.LOCKED, Refusal.NOT_ALLOWED),
        (x.forbidden("This request looks automated."), Refusal.CONTENT),
    ],
)
async def test_an_answer_means_what_it_says(
    channel: SocialX, provider: x.FakeX, answer: Answer, why: Refusal
) -> None:
    provider.script("", answer)
    found = await channel.send(outgoing(channel))
    assert isinstance(found, Refused)
    assert found.why is why


@pytest.mark.parametrize("trouble", Trouble)
async def test_no_clear_answer_is_in_doubt(channel: SocialX, provider: x.FakeX, trouble: Trouble) -> None:
    provider.script("", trouble)
    assert isinstance(await channel.send(outgoing(channel)), Unknown)


async def test_an_answer_that_says_nothing_is_in_doubt(channel: SocialX, provider: x.FakeX) -> None:
    provider.script("", Answer(status=201), Answer(status=201, body={"data": []}))
    assert isinstance(await channel.send(outgoing(channel)), Unknown)
    assert isinstance(await channel.send(outgoing(channel)), Unknown)


async def test_a_post_in_doubt_is_found_on_the_timeline_and_not_posted_twice(
    channel: SocialX, provider: x.FakeX
) -> None:
    provider.script("", Trouble.TAKE_AND_CUT)
    message = outgoing(channel)
    assert isinstance(await channel.send(message), Unknown)
    assert await channel.look_up(message) == Accepted(provider_id=provider.accepted[0].id)
    again = await channel.send(message)
    assert isinstance(again, Refused)
    assert (again.code, again.provider_id) == (DUPLICATE, provider.accepted[0].id)
    assert len(provider.accepted) == 1


async def test_an_earlier_post_of_the_same_words_is_no_evidence(channel: SocialX, provider: x.FakeX) -> None:
    message = outgoing(channel)
    await channel.send(message)
    earlier = provider.accepted[0]
    assert isinstance(await channel.look_up(message, since=earlier.at + timedelta(minutes=2)), Failed)
    assert isinstance(await channel.look_up(message, claimed={earlier.id}), Failed)
    assert isinstance(await channel.look_up(message, since=earlier.at), Accepted)


@pytest.mark.parametrize(("answer", "seconds"), [(x.throttled, 900), (x.spent_for_today, 86_000)])
async def test_too_many_posts_wait_until_the_limit_that_is_spent_begins_anew(
    channel: SocialX, provider: x.FakeX, answer: Callable[[int], Answer], seconds: int
) -> None:
    provider.script("send", answer(seconds))
    found = await channel.send(outgoing(channel))
    assert isinstance(found, Throttled)
    assert seconds - 60 < found.after_seconds <= seconds


async def test_a_post_that_never_came_is_not_found(channel: SocialX) -> None:
    await channel.send(outgoing(channel, "Another"))
    assert isinstance(await channel.look_up(outgoing(channel)), Failed)


async def test_a_timeline_that_cannot_be_read_decides_nothing(channel: SocialX, provider: x.FakeX) -> None:
    answers = (Trouble.FAIL_AS_HTML, x.UNAUTHORISED, Trouble.HANG)
    provider.script("timeline", *answers)
    for _ in answers:
        assert isinstance(await channel.look_up(outgoing(channel)), Throttled)


async def test_a_value_that_makes_a_post_too_long_is_refused_before_it_is_sent(
    channel: SocialX, provider: x.FakeX
) -> None:
    found = await channel.send(outgoing(channel, f"In {hole('ward')}"))
    assert isinstance(found, Refused)
    assert len(provider.accepted) == 0


def test_words_too_long_for_a_post_cannot_be_prepared() -> None:
    with pytest.raises(CannotExpress, match="1 characters too long"):
        outgoing(SocialX("a", "b", {EVERYBODY: "c:d"}), "a" * 281)


# --- Several accounts, and what a post costs ---------------------------------------------------


async def test_each_account_posts_with_its_own_keys_and_may_say_the_same(provider: x.FakeX) -> None:
    accounts = {"@southmere": "one:s", "@alder": "two:s"}
    async with SocialX("a", "b", accounts, api_url=provider.url, timeout_seconds=1.5) as channel:
        for name in accounts:
            assert isinstance(await channel.send(replace(outgoing(channel), to=name)), Accepted)
        unknown = await channel.send(replace(outgoing(channel), to="@stranger"))
    assert [post.token for post in provider.accepted] == ["one", "two"]
    assert isinstance(unknown, Refused)
    assert (unknown.why, unknown.where) == (Refusal.NOT_ALLOWED, Where.RECIPIENT)


@pytest.mark.parametrize(
    ("answer", "where"),
    [(x.LOCKED, Where.RECIPIENT), (x.UNAUTHORISED, Where.RECIPIENT), (x.NO_CREDIT, Where.PROVIDER)],
)
async def test_of_several_accounts_one_that_is_locked_is_locked_alone_but_credit_is_the_apps(
    provider: x.FakeX, answer: Answer, where: Where
) -> None:
    provider.script("send", answer)
    async with SocialX("a", "b", {"@southmere": "t:s", "@alder": "t:s"}, api_url=provider.url) as channel:
        found = await channel.send(outgoing(channel))
    assert isinstance(found, Refused)
    assert (found.why, found.where) == (Refusal.NOT_ALLOWED, where)


async def test_of_several_accounts_one_that_is_too_fast_waits_alone(provider: x.FakeX) -> None:
    provider.script("send", x.throttled(60))
    async with SocialX("a", "b", {"@southmere": "t:s", "@alder": "t:s"}, api_url=provider.url) as channel:
        found = await channel.send(outgoing(channel))
    assert isinstance(found, Throttled)
    assert found.where is Where.RECIPIENT


def test_settings_name_one_account_or_several() -> None:
    keys = {"NOTIFIER_X_CONSUMER_KEY": "k", "NOTIFIER_X_CONSUMER_SECRET": "s"}
    SocialX.from_env(keys | {"NOTIFIER_X_ACCOUNTS": "@southmere=t:s"})
    with pytest.raises(NotConfigured, match="NOTIFIER_X_ACCESS_TOKEN"):
        SocialX.from_env(keys)
    for price in ("dear", "nan", "-1"):
        with pytest.raises(NotConfigured, match="NOTIFIER_X_PENCE"):
            SocialX.from_env(keys | {"NOTIFIER_X_ACCOUNTS": "@southmere=t:s", "NOTIFIER_X_PENCE": price})


def test_a_link_makes_a_post_dearer() -> None:
    channel = SocialX("a", "b", {}, pence=1, link_pence=15)
    costs = [
        channel.estimate(Content(medium=Medium.SOCIAL, language="en", text=text)).cost_pence
        for text in ("Road closed", "Road closed: https://link.org.uk/m/1")
    ]
    assert costs == [1, 15]


# --- What people say -----------------------------------------------------------------------------


async def heard(channel: SocialX, cursor: str = "") -> tuple[list[Incoming], str]:
    events, cursor = await channel.poll(cursor)
    return [event for event in events if isinstance(event, Incoming)], cursor


async def test_an_answer_is_told_with_who_wrote_it_and_under_what(
    channel: SocialX, provider: x.FakeX
) -> None:
    provider.mention(
        "@southmere &amp; all: is it open?", answers="1001", long="@southmere Is it open &amp; when?"
    )
    (event,), cursor = await heard(channel)
    assert (event.medium, event.sender, event.recipient) == (Medium.SOCIAL, "@joe_resident", "@southmere")
    assert (event.text, event.event_id, event.in_reply_to) == ("Is it open & when?", "5000", "1001")
    assert event.at is not None
    assert b"5000" in event.raw
    assert await heard(channel, cursor) == ([], cursor)


async def test_a_mention_that_answers_nothing_names_nothing(channel: SocialX, provider: x.FakeX) -> None:
    provider.mention("Hello @southmere")
    (event,), _ = await heard(channel)
    assert (event.text, event.in_reply_to) == ("Hello @southmere", "")


async def test_everything_since_the_last_time_is_told_oldest_first_however_many_pages(
    channel: SocialX, provider: x.FakeX
) -> None:
    provider.mention("first")
    _, cursor = await heard(channel)
    for number in range(250):
        provider.mention(f"lamp {number}")
    events, cursor = await heard(channel, cursor)
    assert [event.text for event in events] == [f"lamp {number}" for number in range(250)]
    assert await heard(channel, cursor) == ([], cursor)


async def test_what_was_said_before_yesterday_or_by_ourselves_is_not_told(
    channel: SocialX, provider: x.FakeX
) -> None:
    provider.mention("old", at=datetime.now(UTC) - timedelta(days=2))
    provider.mention("ours", sender=x.ACCOUNT)
    provider.mention("new")
    events, _ = await heard(channel)
    assert [event.text for event in events] == ["new"]


@pytest.mark.parametrize(
    ("answer", "least"),
    [(partial(x.throttled, 600), 500), (lambda: x.UNAUTHORISED, 0), (lambda: Trouble.FAIL_AS_HTML, 0)],
)
async def test_x_that_cannot_be_asked_says_when_it_can(
    channel: SocialX, provider: x.FakeX, answer: Callable[[], Answer | Trouble], least: int
) -> None:
    provider.mention("lamp")
    provider.script("mentions", answer())
    with pytest.raises(CannotPoll) as error:
        await channel.poll("")
    assert least <= error.value.after_seconds <= 900
    assert [event.text for event in (await heard(channel))[0]] == ["lamp"]


async def test_one_account_that_cannot_be_asked_does_not_silence_the_others(provider: x.FakeX) -> None:
    provider.names = {"one": "southmere", "two": "alder"}
    provider.mention("to one")
    provider.mention("to two", to="alder")
    async with SocialX("a", "b", {"@southmere": "one:s", "@alder": "two:s"}, api_url=provider.url) as channel:
        provider.script("mentions", x.UNAUTHORISED)
        first, cursor = await heard(channel)
        second, cursor = await heard(channel, cursor)
        assert await heard(channel, cursor) == ([], cursor)
    assert {(event.recipient, event.text) for event in (*first, *second)} == {
        ("@southmere", "to one"),
        ("@alder", "to two"),
    }
    assert len(first) == len(second) == 1
