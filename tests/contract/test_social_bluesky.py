"""Posts on Bluesky: one record for a delivery, sessions that run out, links, and what people say."""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
)
from channels.errors import CannotExpress, CannotPoll
from channels.social_bluesky import SocialBluesky, facets, record_key
from tests.fakes import bluesky
from tests.fakes.bluesky import DID, HANDLE, PASSWORD, FakeBluesky
from tests.fakes.web import Answer, Trouble

WORDS = "Tŷ agored 👋\n\nhttps://link.example/m/1"
TID = re.compile(r"[234567abcdefghij][234567abcdefghijklmnopqrstuvwxyz]{12}")  # atproto.com/specs/tid


@pytest.fixture
async def server() -> AsyncIterator[FakeBluesky]:
    async with FakeBluesky() as fake:
        yield fake


@pytest.fixture
async def channel(server: FakeBluesky) -> AsyncIterator[SocialBluesky]:
    async with SocialBluesky({HANDLE: PASSWORD}, api_url=server.url, timeout_seconds=1.5) as made:
        yield made


def outgoing(channel: SocialBluesky, words: str = WORDS, delivery: str = "d.mac") -> Outgoing:
    prepared = channel.prepare(Content(medium=Medium.SOCIAL, language="cy", text=words))
    return Outgoing(attempt="a.mac", delivery=delivery, to=HANDLE, prepared=prepared, values={})


async def heard(channel: SocialBluesky, cursor: str = "") -> tuple[list[Incoming], str]:
    events, cursor = await channel.poll(cursor)
    return [event for event in events if isinstance(event, Incoming)], cursor


async def test_a_post_says_its_language_its_time_and_where_its_links_are(
    channel: SocialBluesky, server: FakeBluesky
) -> None:
    assert await channel.send(outgoing(channel)) == Accepted(
        provider_id=f"at://{DID}/app.bsky.feed.post/{record_key('d.mac')}"
    )
    record = server.accepted[0].record
    assert (record["text"], record["langs"], record["$type"]) == (WORDS, ["cy"], "app.bsky.feed.post")
    assert abs(datetime.fromisoformat(record["createdAt"]) - datetime.now(UTC)) < timedelta(minutes=5)
    (link,) = record["facets"]
    marked = WORDS.encode()[link["index"]["byteStart"] : link["index"]["byteEnd"]].decode()
    assert marked == link["features"][0]["uri"] == "https://link.example/m/1"


def test_a_link_ends_before_the_punctuation_of_its_sentence() -> None:
    text = "Ŵyn 🚨 (https://a.example/x?y=1). دیکھیں http://b.example۔ a.example"
    found = facets(text)
    assert [each["features"][0]["uri"] for each in found] == ["https://a.example/x?y=1", "http://b.example"]
    marked = [text.encode()[each["index"]["byteStart"] : each["index"]["byteEnd"]] for each in found]
    assert marked == [each["features"][0]["uri"].encode() for each in found]


@given(st.text(max_size=40), st.text(max_size=40))
def test_every_delivery_has_a_record_key_of_its_own_that_bluesky_takes(one: str, other: str) -> None:
    assert TID.fullmatch(record_key(one))
    assert (record_key(one) == record_key(other)) is (one == other)


@pytest.mark.parametrize("trouble", [Trouble.TAKE_AND_CUT, Trouble.TAKE_AND_HANG, Trouble.FAIL_AS_HTML])
async def test_no_clear_answer_is_in_doubt_and_the_second_try_is_the_same_record(
    channel: SocialBluesky, server: FakeBluesky, trouble: Trouble
) -> None:
    server.script("send", trouble)
    assert isinstance(await channel.send(outgoing(channel)), Unknown)
    again = await channel.send(outgoing(channel))
    assert again == Accepted(provider_id=server.accepted[0].uri)
    assert len(server.accepted) == 1


async def test_a_failure_after_the_record_was_made_is_seen_at_once(
    channel: SocialBluesky, server: FakeBluesky
) -> None:
    server.script("send", Trouble.TAKE_AND_FAIL)
    assert await channel.send(outgoing(channel)) == Accepted(
        provider_id=f"at://{DID}/app.bsky.feed.post/{record_key('d.mac')}"
    )


async def test_a_server_that_names_the_double_is_understood_as_well(
    channel: SocialBluesky, server: FakeBluesky
) -> None:
    await channel.send(outgoing(channel))
    server.script("send", bluesky.problem(400, "RecordAlreadyExists", "Record already exists"))
    assert await channel.send(outgoing(channel)) == Accepted(provider_id=server.accepted[0].uri)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (bluesky.TAKEN_DOWN, Refusal.NOT_ALLOWED),
        (bluesky.problem(403, "Whatever"), Refusal.NOT_ALLOWED),
        (bluesky.NOT_A_RECORD, Refusal.CONTENT),
        (bluesky.problem(400, "InvalidRequest", "subject does not exist"), Refusal.CONTENT),
    ],
)
async def test_an_answer_means_what_it_says(
    channel: SocialBluesky, server: FakeBluesky, answer: Answer, why: Refusal
) -> None:
    server.script("send", answer)
    found = await channel.send(outgoing(channel))
    assert isinstance(found, Refused)
    assert found.why is why


async def test_too_fast_waits_until_the_limit_begins_anew_also_at_the_door(
    channel: SocialBluesky, server: FakeBluesky
) -> None:
    for kind in ("login", "send"):
        server.script(kind, bluesky.throttled(120))
        found = await channel.send(outgoing(channel))
        assert isinstance(found, Throttled)
        assert 100 < found.after_seconds <= 120


async def test_a_session_is_opened_once_renewed_when_it_runs_out_and_opened_anew_when_it_is_forgotten(
    channel: SocialBluesky, server: FakeBluesky
) -> None:
    for number in range(2):
        await channel.send(outgoing(channel, f"{number}", f"{number}"))
    assert (server.logins, server.refreshes) == (1, 0)
    server.expire()
    assert isinstance(await channel.send(outgoing(channel, "2", "2")), Accepted)
    assert (server.logins, server.refreshes) == (1, 1)
    server.forget()
    assert isinstance(await channel.send(outgoing(channel, "3", "3")), Accepted)
    assert (server.logins, server.refreshes) == (2, 1)
    assert len(server.accepted) == 4


async def test_a_wrong_password_is_the_operators_matter_of_that_account_alone(server: FakeBluesky) -> None:
    accounts = {HANDLE: "wrong", "alder.example": "wrong"}
    async with SocialBluesky(accounts, api_url=server.url) as channel:
        found = await channel.send(outgoing(channel))
        assert isinstance(found, Refused)
        assert (found.why, found.where) == (Refusal.NOT_ALLOWED, Where.RECIPIENT)
        with pytest.raises(CannotPoll):
            await channel.poll("")


async def test_each_account_posts_as_itself() -> None:
    passwords = {HANDLE: ("one", DID), "alder.example": ("two", "did:plc:another")}
    async with (
        FakeBluesky(passwords) as server,
        SocialBluesky({name: each[0] for name, each in passwords.items()}, api_url=server.url) as channel,
    ):
        for name in passwords:
            await channel.send(replace(outgoing(channel, delivery=name), to=name))
        assert isinstance(await channel.send(replace(outgoing(channel), to="no.example")), Refused)
    assert [post.uri.split("/")[2] for post in server.accepted] == [DID, "did:plc:another"]


async def test_a_post_is_looked_up_by_its_key_whatever_its_words(
    channel: SocialBluesky, server: FakeBluesky
) -> None:
    await channel.send(outgoing(channel))
    assert isinstance(await channel.look_up(outgoing(channel)), Accepted)
    assert isinstance(await channel.look_up(outgoing(channel, delivery="other")), Failed)
    server.script("record", Trouble.FAIL_AS_HTML, bluesky.problem(400, "InvalidRequest"))
    for _ in range(2):
        assert isinstance(await channel.look_up(outgoing(channel)), Throttled)


def test_a_post_is_measured_in_what_a_reader_sees_and_in_octets() -> None:
    channel = SocialBluesky({})
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert channel.size("é👍🏽🇬🇧").length == 3
    assert channel.size(family * 200).length == 360  # of 300: it would be 3,600 octets
    with pytest.raises(CannotExpress, match="60 characters too long"):
        channel.prepare(Content(medium=Medium.SOCIAL, language="en", text=family * 200))


# --- What people say ----------------------------------------------------------------------------


async def test_an_answer_is_told_with_who_wrote_it_and_in_whose_thread(
    channel: SocialBluesky, server: FakeBluesky
) -> None:
    root = f"at://{DID}/app.bsky.feed.post/1"
    uri = server.mention("@southmere.example is it open?", root=root, sender="Joe.Example")
    server.mention("hello", sender="handle.invalid")
    (first, second), cursor = await heard(channel)
    assert (first.sender, first.recipient, first.text) == ("joe.example", HANDLE, "is it open?")
    assert (first.event_id, first.in_reply_to, second.in_reply_to) == (uri, root, "")
    assert second.sender == "did:plc:stranger"
    assert await heard(channel, cursor) == ([], cursor)


async def test_everything_since_is_told_oldest_first_and_what_came_in_the_same_moment_too(
    channel: SocialBluesky, server: FakeBluesky
) -> None:
    moment = datetime.now(UTC)
    server.mention("first", at=moment)
    _, cursor = await heard(channel)
    server.mention("in the same moment", at=moment)
    for number in range(230):
        server.mention(f"lamp {number}", at=moment + timedelta(milliseconds=number + 1))
    events, cursor = await heard(channel, cursor)
    assert [event.text for event in events] == ["in the same moment", *(f"lamp {n}" for n in range(230))]
    assert await heard(channel, cursor) == ([], cursor)


async def test_what_was_said_before_yesterday_is_not_told(
    channel: SocialBluesky, server: FakeBluesky
) -> None:
    server.mention("old", at=datetime.now(UTC) - timedelta(days=2))
    server.mention("new")
    assert [event.text for event in (await heard(channel))[0]] == ["new"]


@pytest.mark.parametrize(
    ("answer", "least"), [(partial(bluesky.throttled, 300), 250), (lambda: Trouble.FAIL_AS_HTML, 0)]
)
async def test_a_server_that_cannot_be_asked_says_when_it_can(
    channel: SocialBluesky, server: FakeBluesky, answer: Callable[[], Answer | Trouble], least: int
) -> None:
    server.script("notifications", answer())
    with pytest.raises(CannotPoll) as error:
        await channel.poll("")
    assert least <= error.value.after_seconds <= 300
