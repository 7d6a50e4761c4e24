"""Posts of Facebook pages: what each error means, how calls are signed, and how a post in doubt is found."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from channels.base import (
    Accepted,
    CanBePolled,
    Content,
    Failed,
    Medium,
    Outgoing,
    Refusal,
    Refused,
    Throttled,
    Unknown,
)
from channels.posts import DUPLICATE
from channels.social_facebook import SocialFacebook
from tests.fakes import facebook
from tests.fakes.facebook import APP_SECRET, PAGE, TOKEN, FakeFacebook
from tests.fakes.web import Answer, Trouble

WORDS = "Meeting & tea: http://other.example\n\nhttps://link.example/m/1"


@pytest.fixture
async def graph() -> AsyncIterator[FakeFacebook]:
    async with FakeFacebook() as fake:
        yield fake


@pytest.fixture
async def channel(graph: FakeFacebook) -> AsyncIterator[SocialFacebook]:
    async with SocialFacebook(
        {PAGE: TOKEN}, APP_SECRET, api_url=graph.graph_url, timeout_seconds=1.5
    ) as made:
        yield made


def outgoing(channel: SocialFacebook, words: str = WORDS) -> Outgoing:
    prepared = channel.prepare(Content(medium=Medium.SOCIAL, language="en", text=words))
    return Outgoing(attempt="a.mac", delivery="d.mac", to=PAGE, prepared=prepared, values={})


async def test_a_post_shows_its_last_link_as_a_card(channel: SocialFacebook, graph: FakeFacebook) -> None:
    assert await channel.send(outgoing(channel)) == Accepted(provider_id=f"{PAGE}_1000")
    await channel.send(outgoing(channel, "No link"))
    assert [(post.text, post.link) for post in graph.accepted] == [
        (WORDS, "https://link.example/m/1"),
        ("No link", ""),
    ]


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (190, Refusal.NOT_ALLOWED),
        (200, Refusal.NOT_ALLOWED),
        (299, Refusal.NOT_ALLOWED),
        (10, Refusal.NOT_ALLOWED),
        (368, Refusal.NOT_ALLOWED),
        (803, Refusal.NOT_ALLOWED),
        (100, Refusal.CONTENT),
        (1500, Refusal.CONTENT),
    ],
)
async def test_an_error_means_what_the_table_says(
    channel: SocialFacebook, graph: FakeFacebook, code: int, why: Refusal
) -> None:
    graph.script("send", facebook.error(code))
    found = await channel.send(outgoing(channel))
    assert isinstance(found, Refused)
    assert (found.why, found.code) == (why, str(code))


@pytest.mark.parametrize("code", [4, 17, 32, 341, 613])
async def test_too_fast_waits_as_long_as_facebook_expects(
    channel: SocialFacebook, graph: FakeFacebook, code: int
) -> None:
    graph.script("send", facebook.throttled(7, code), facebook.error(code))
    waits = []
    for _ in range(2):
        found = await channel.send(outgoing(channel))
        assert isinstance(found, Throttled)
        waits.append(found.after_seconds)
    assert waits == [420, 900]


@pytest.mark.parametrize(
    "answer",
    [
        facebook.error(1),
        facebook.error(2),
        facebook.error(99, is_transient=True),
        Answer(status=400),
        Answer(status=200),
        Trouble.TAKE_AND_CUT,
        Trouble.TAKE_AND_FAIL,
        Trouble.FAIL_AS_HTML,
    ],
)
async def test_no_clear_answer_is_in_doubt(
    channel: SocialFacebook, graph: FakeFacebook, answer: Answer | Trouble
) -> None:
    graph.script("send", answer)
    assert isinstance(await channel.send(outgoing(channel)), Unknown)


async def test_the_same_words_again_are_refused_as_such_and_found_on_the_page(
    channel: SocialFacebook, graph: FakeFacebook
) -> None:
    message = outgoing(channel)
    assert isinstance(await channel.look_up(message), Failed)
    graph.script("send", Trouble.TAKE_AND_CUT)
    assert isinstance(await channel.send(message), Unknown)
    again = await channel.send(message)
    assert isinstance(again, Refused)
    assert again.code == DUPLICATE
    post = graph.accepted[0]
    assert await channel.look_up(message, since=post.at) == Accepted(provider_id=post.id)
    assert isinstance(await channel.look_up(message, since=post.at + timedelta(minutes=2)), Failed)
    assert isinstance(await channel.look_up(message, claimed={post.id}), Failed)
    assert len(graph.accepted) == 1


@pytest.mark.parametrize("answer", [Trouble.FAIL_AS_HTML, facebook.error(190), Answer(status=200)])
async def test_a_page_that_cannot_be_read_decides_nothing(
    channel: SocialFacebook, graph: FakeFacebook, answer: Answer | Trouble
) -> None:
    graph.script("timeline", answer)
    assert isinstance(await channel.look_up(outgoing(channel)), Throttled)


async def test_each_page_posts_with_its_own_token_signed_by_the_apps_secret() -> None:
    pages = {PAGE: "one", "204857600000000": "two"}
    async with FakeFacebook(pages) as graph:
        async with SocialFacebook(pages, APP_SECRET, api_url=graph.graph_url) as channel:
            for page in pages:
                assert isinstance(await channel.send(replace(outgoing(channel), to=page)), Accepted)
            assert isinstance(await channel.send(replace(outgoing(channel), to="99999")), Refused)
        async with SocialFacebook(pages, "another secret", api_url=graph.graph_url) as channel:
            unsigned = await channel.send(outgoing(channel, "more"))
    assert isinstance(unsigned, Refused)
    assert unsigned.why is Refusal.NOT_ALLOWED
    assert [post.page for post in graph.accepted] == [*pages]


def test_what_is_written_under_a_post_is_not_read() -> None:
    assert not issubclass(SocialFacebook, CanBePolled)
    assert not SocialFacebook.capabilities.replies
