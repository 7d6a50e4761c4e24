"""Posts on X: what each answer means, and how a post in doubt is found."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from channels.base import (
    Accepted,
    Content,
    Failed,
    Medium,
    Outgoing,
    Refusal,
    Refused,
    Throttled,
    Unknown,
    hole,
)
from channels.errors import CannotExpress
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


@pytest.mark.parametrize(
    ("answer", "seconds"), [(x.throttled(900), 900), (x.spent_for_today(86_000), 86_000)]
)
async def test_too_many_posts_wait_until_the_limit_that_is_spent_begins_anew(
    channel: SocialX, provider: x.FakeX, answer: Answer, seconds: int
) -> None:
    provider.script("send", answer)
    found = await channel.send(outgoing(channel))
    assert isinstance(found, Throttled)
    assert seconds - 300 < found.after_seconds <= seconds  # counted from when this file was read


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
