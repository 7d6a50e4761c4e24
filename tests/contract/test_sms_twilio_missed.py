"""Texts through Twilio that nobody told us of, and the pictures that came with some."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from channels import twilio_log, twilio_media
from channels.base import HookRequest, Incoming, Media, MediaRefused
from channels.errors import CannotPoll
from channels.sms_twilio import API_URL, SmsTwilio
from tests.fakes import twilio
from tests.fakes.web import Trouble

ME, OURS, OTHER = "+447700900001", "+447700900100", "+447700900101"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MEDIA = f"https://api.twilio.com/2010-04-01/Accounts/{twilio.ACCOUNT_SID}/Messages/MM{'a' * 32}/Media/ME{'b' * 32}"


@pytest.fixture
async def provider() -> AsyncIterator[twilio.FakeTwilio]:
    async with twilio.FakeTwilio() as fake:
        yield fake


@pytest.fixture
async def channel(provider: twilio.FakeTwilio) -> AsyncIterator[SmsTwilio]:
    async with SmsTwilio(
        twilio.ACCOUNT_SID,
        [twilio.AUTH_TOKEN],
        [OURS, "Southmere", OTHER],
        base_url="https://link.example",
        api_url=provider.url,
        timeout_seconds=1.5,
        now=lambda: NOW,
    ) as made:
        yield made


async def told(channel: SmsTwilio, cursor: str) -> tuple[list[str], str]:
    events, after = await channel.poll(cursor)
    return [event.text for event in events if isinstance(event, Incoming)], after


# --- What was missed --------------------------------------------------------------------------


async def test_a_text_is_told_as_its_hook_would_have_told_it(
    channel: SmsTwilio, provider: twilio.FakeTwilio
) -> None:
    text = provider.keep_incoming(
        sender="07700 900001", to=OURS, body=" Lamp\r\nis £5 ŵ😀 ", at=NOW, pictures=[twilio.Picture()]
    )
    (missed,), _ = await channel.poll("")
    fields = provider.hook_fields(text)
    body, headers = provider.signed("https://link.example/hooks/sms_twilio", fields)
    call = HookRequest(url="https://link.example/hooks/sms_twilio", headers=headers, body=body)
    assert await channel.verify(call)
    (hooked,) = channel.parse(call)
    assert isinstance(missed, Incoming)
    assert isinstance(hooked, Incoming)
    assert missed.at == NOW
    assert replace(missed, at=None, raw=b"") == replace(hooked, raw=b"")
    (again,) = channel.parse(HookRequest(url="", headers={}, body=missed.raw))
    assert isinstance(again, Incoming)
    assert (again.text, again.media) == (missed.text, missed.media) == (text.body, provider.media_urls(text))


async def test_every_number_that_takes_replies_is_read_and_ours_to_others_is_not(
    channel: SmsTwilio, provider: twilio.FakeTwilio
) -> None:
    for minutes, to in ((2, OTHER), (1, OURS), (3, "+447700900555")):
        provider.keep_incoming(
            sender=ME, to=to, body=f"{minutes} minutes", at=NOW + timedelta(minutes=minutes)
        )
    assert (await told(channel, ""))[0] == ["1 minutes", "2 minutes"]


async def test_the_first_time_a_day_is_read(channel: SmsTwilio, provider: twilio.FakeTwilio) -> None:
    for hours in (30, 23, 1):
        provider.keep_incoming(sender=ME, to=OURS, body=f"{hours} h ago", at=NOW - timedelta(hours=hours))
    assert (await told(channel, ""))[0] == ["23 h ago", "1 h ago"]


async def test_a_text_that_is_listed_late_is_found_and_none_is_told_twice(
    channel: SmsTwilio, provider: twilio.FakeTwilio
) -> None:
    provider.keep_incoming(sender=ME, to=OURS, body="first", at=NOW)
    words, cursor = await told(channel, "")
    assert words == ["first"]
    assert await told(channel, cursor) == ([], cursor)
    provider.keep_incoming(sender=ME, to=OURS, body="late", at=NOW - timedelta(minutes=5))
    words, after = await told(channel, cursor)
    assert words == ["late"]
    assert after != cursor
    assert await told(channel, after) == ([], after)
    assert (await told(channel, cursor))[0] == ["late"]


async def test_after_an_outage_each_call_reads_a_day_page_after_page(
    provider: twilio.FakeTwilio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twilio_log, "PAGE_SIZE", 4)
    clock = [NOW]
    async with SmsTwilio(
        twilio.ACCOUNT_SID, [twilio.AUTH_TOKEN], [OURS, OTHER], api_url=provider.url, now=lambda: clock[0]
    ) as channel:
        provider.keep_incoming(sender=ME, to=OURS, body="before", at=NOW)
        _, cursor = await told(channel, "")
        tokyo = timezone(timedelta(hours=9))
        wanted = [f"text {number}" for number in range(30)]
        for number, body in enumerate(wanted):
            at = (NOW + timedelta(hours=4 * number + 1)).astimezone(tokyo)
            provider.keep_incoming(sender=ME, to=(OURS, OTHER)[number % 2], body=body, at=at)
        clock[0] = NOW + timedelta(days=6)
        found: list[list[str]] = []
        for _ in range(8):
            words, cursor = await told(channel, cursor)
            found.append(words)
    assert [word for words in found for word in words] == wanted
    assert max(map(len, found)) <= 7
    assert found[-1] == []


@pytest.mark.parametrize("cursor", ["yesterday", "2026-13-01T00:00:00+00:00 abc", "\0"])
async def test_a_cursor_that_cannot_be_read_is_none(
    channel: SmsTwilio, provider: twilio.FakeTwilio, cursor: str
) -> None:
    provider.keep_incoming(sender=ME, to=OURS, body="here", at=NOW)
    assert (await told(channel, cursor))[0] == ["here"]


async def test_a_list_that_cannot_be_had_says_when_to_ask_again(
    channel: SmsTwilio, provider: twilio.FakeTwilio
) -> None:
    waits = []
    for answer in (twilio.throttled(7), twilio.REVOKED, Trouble.FAIL_AS_HTML, Trouble.HANG):
        provider.script("list", answer)
        with pytest.raises(CannotPoll) as error:
            await channel.poll("")
        waits.append(error.value.after_seconds)
    assert waits == [7, 0, 0, 0]


# --- Pictures ---------------------------------------------------------------------------------


async def fetched(
    channel: SmsTwilio, provider: twilio.FakeTwilio, picture: twilio.Picture
) -> Media | MediaRefused:
    text = provider.keep_incoming(sender=ME, to=OURS, body="", pictures=[picture])
    return await channel.fetch(provider.media_urls(text)[0])


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("image/png", twilio.PNG),
        ("image/jpeg", b"\xff\xd8\xff\xe0 and so on"),
        ("image/gif", b"GIF89a and so on"),
        ("image/webp", b"RIFF\0\0\0\0WEBP and so on"),
    ],
)
async def test_a_picture_is_fetched_and_the_password_stays_with_twilio(
    channel: SmsTwilio, provider: twilio.FakeTwilio, kind: str, data: bytes
) -> None:
    found = await fetched(channel, provider, twilio.Picture(kind=kind, data=data))
    assert found == Media(content_type=kind, data=data)
    assert [had_password for _, had_password in provider.stored] == [False]


@pytest.mark.parametrize(
    "picture",
    [
        twilio.Picture(kind="video/mp4"),
        twilio.Picture(kind="text/html", data=b"<script>"),
        twilio.Picture(kind="image/svg+xml", data=b"<svg/>"),
        twilio.Picture(kind="image/png", data=b"<html>"),
        twilio.Picture(kind="image/webp", data=b"RIFF\0\0\0\0WAVE"),
        twilio.Picture(data=twilio.PNG + b"\0" * twilio_media.MOST_BYTES),
        twilio.Picture(status=404),
        twilio.Picture(location="http://169.254.169.254/latest/meta-data"),
        twilio.Picture(location="https://evil.example/a.png"),
        twilio.Picture(location="//evil.example/a.png"),
        twilio.Picture(location="https://mms.twiliocdn.com.evil.example/a.png"),
        twilio.Picture(location="http://[::1"),
    ],
    ids=lambda picture: f"{picture.kind} {len(picture.data)} {picture.status} {picture.location}",
)
async def test_what_is_no_picture_or_not_twilios_is_refused_for_good(
    channel: SmsTwilio, provider: twilio.FakeTwilio, picture: twilio.Picture
) -> None:
    found = await fetched(channel, provider, picture)
    assert isinstance(found, MediaRefused)
    assert not found.again
    assert len(provider.stored) == (0 if picture.location else 1)


async def test_trouble_on_the_way_to_a_picture_passes(
    channel: SmsTwilio, provider: twilio.FakeTwilio
) -> None:
    answers = (twilio.throttled(30), twilio.REVOKED, Trouble.HANG, Trouble.FAIL_AS_HTML)
    provider.script("media", *answers)
    found = [await fetched(channel, provider, twilio.Picture()) for _ in answers]
    waits = [each.after_seconds for each in found if isinstance(each, MediaRefused) and each.again]
    assert waits == [30, 900, 0, 0]


@pytest.mark.parametrize(
    "url",
    [
        "", "cat.jpg", "file:///etc/passwd", "https://evil.example/a.png", "http://127.0.0.1:8080/health",
        MEDIA.replace("https", "http"),
        MEDIA.replace("api.twilio.com", "api.twilio.com.evil.example"),
        MEDIA.replace("api.twilio.com", "api.twilio.com@evil.example"),
        MEDIA.replace("api.twilio.com", "api.twilio.com:8443"),
        MEDIA.replace("api.twilio.com", "mms.twiliocdn.com"),
        MEDIA.replace(twilio.ACCOUNT_SID, "AC" + "1" * 32),
        MEDIA + "/../../../Keys.json", MEDIA + ".json", MEDIA + "?x=1", MEDIA + "\n", MEDIA.replace("Media/", "Media//"),
        "https://[::1/" + MEDIA,
    ],
)  # fmt: skip
async def test_no_other_address_is_ever_asked_for(
    channel: SmsTwilio, provider: twilio.FakeTwilio, url: str
) -> None:
    found = await channel.fetch(url)
    assert isinstance(found, MediaRefused)
    assert not found.again
    assert provider.calls == []


@pytest.mark.parametrize(
    ("url", "is_store"),
    [
        ("https://mms.twiliocdn.com/AC0/abc?Expires=1", True),
        ("https://media.twiliocdn.com:443/AC0/abc", True),
        ("https://s3-external-1.amazonaws.com/media.twiliocdn.com/AC0/abc", True),
        ("https://s3-external-1.amazonaws.com/somebody/abc", False),
        ("https://s3-external-1.amazonaws.com/media.twiliocdn.com/../somebody/abc", False),
        ("https://s3-external-1.amazonaws.com/media.twiliocdn.com/%2e%2e/somebody/abc", False),
        ("http://mms.twiliocdn.com/AC0/abc", False),
        ("https://mms.twiliocdn.com:22/", False),
        ("https://user@mms.twiliocdn.com/", False),
        ("https://mms.twiliocdn.com@evil.example/", False),
        (f"{API_URL}/2010-04-01/Accounts", False),
        ("http://127.0.0.1:9/a", False),
    ],
)
def test_pictures_are_stored_where_twilio_stores_them(url: str, *, is_store: bool) -> None:
    assert twilio_media.is_store(url) == is_store


def test_the_own_host_of_twilio_in_ireland_is_twilios() -> None:
    there = MEDIA.replace("api.", "api.dublin.ie1.")
    assert twilio_media.path_of(there, twilio.ACCOUNT_SID, API_URL) == MEDIA.removeprefix(API_URL)
