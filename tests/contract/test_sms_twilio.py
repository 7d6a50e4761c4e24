"""Texts through Twilio: its errors and its look-up."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta, timezone

import pytest

from channels import twilio_log
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
    Where,
)
from channels.sms_twilio import SmsTwilio
from tests.fakes import twilio
from tests.fakes.web import Trouble

TO, OURS = "+447700900001", "+447700900100"
BASE = "https://link.example"
HOOK = f"{BASE}/hooks/sms_twilio"
TOKENS = ("new-token", "old-token")


@pytest.fixture
async def provider() -> AsyncIterator[twilio.FakeTwilio]:
    async with twilio.FakeTwilio(auth_token=TOKENS[0]) as fake:
        yield fake


@pytest.fixture
async def channel(provider: twilio.FakeTwilio) -> AsyncIterator[SmsTwilio]:
    async with SmsTwilio(
        twilio.ACCOUNT_SID, TOKENS, [OURS], base_url=BASE, api_url=provider.url, timeout_seconds=1.5
    ) as made:
        yield made


def outgoing(channel: SmsTwilio, *, urgent: bool = False, sender: str = "") -> Outgoing:
    prepared = channel.prepare(Content(medium=Medium.SMS, language="en", text="Road closed"))
    return Outgoing(
        attempt="at.mac", delivery="d.mac", to=TO, prepared=prepared, values={}, urgent=urgent, sender=sender
    )


# --- Sending --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("urgent", "good_for", "validity"),
    [
        (True, None, 3600),
        (True, 90_000.0, 3600),
        (True, 600.5, 600),
        (False, None, None),
        (False, 7200.0, 7200),
        (False, 259_200.0, None),
        (False, 0.2, 1),
        (False, -5.0, 1),
    ],
)
async def test_a_text_is_dropped_by_the_network_once_it_is_worth_nothing(
    channel: SmsTwilio,
    provider: twilio.FakeTwilio,
    good_for: float | None,
    validity: int | None,
    *,
    urgent: bool,
) -> None:
    message = outgoing(channel, urgent=urgent)
    message.good_for_seconds = good_for
    await channel.send(message)
    assert [text.validity_seconds for text in provider.accepted] == [validity]


async def test_what_was_counted_is_what_twilio_sends(channel: SmsTwilio, provider: twilio.FakeTwilio) -> None:
    await channel.send(outgoing(channel))
    assert not provider.accepted[0].is_smart


async def test_a_text_carries_its_callback_and_an_alert_its_hour(
    channel: SmsTwilio, provider: twilio.FakeTwilio
) -> None:
    await channel.send(outgoing(channel, urgent=True))
    await channel.send(outgoing(channel, sender="+447700900199"))
    urgent, usual = provider.accepted
    assert urgent.callback == f"{HOOK}?attempt=at.mac"
    assert (urgent.validity_seconds, usual.validity_seconds) == (3600, None)
    assert (urgent.sender, usual.sender) == (OURS, "+447700900199")


@pytest.mark.parametrize(
    ("code", "status", "why"),
    [
        (21211, 400, Refusal.BAD_ADDRESS),
        (21614, 400, Refusal.BAD_ADDRESS),
        (21610, 400, Refusal.OPTED_OUT),
        (21617, 400, Refusal.CONTENT),
        (30007, 400, Refusal.CONTENT),
        (21606, 400, Refusal.NOT_ALLOWED),
        (20003, 401, Refusal.NOT_ALLOWED),
        (30002, 403, Refusal.NOT_ALLOWED),
        (99999, 403, Refusal.NOT_ALLOWED),
        (99999, 400, Refusal.CONTENT),
    ],
)
async def test_an_error_means_what_the_table_says(
    channel: SmsTwilio, provider: twilio.FakeTwilio, code: int, status: int, why: Refusal
) -> None:
    provider.script(TO, twilio.error(code, status))
    found = await channel.send(outgoing(channel))
    assert isinstance(found, Refused)
    assert (found.why, found.code) == (why, str(code))


async def test_a_rate_told_only_by_its_code_is_a_rate(
    channel: SmsTwilio, provider: twilio.FakeTwilio
) -> None:
    provider.script(TO, twilio.error(14107, 400), twilio.error(21611, 400))
    assert isinstance(await channel.send(outgoing(channel)), Throttled)
    assert isinstance(await channel.send(outgoing(channel)), Throttled)


async def test_what_passes_is_tried_again_and_says_whose_trouble_it_is(
    channel: SmsTwilio, provider: twilio.FakeTwilio
) -> None:
    provider.script(TO, twilio.error(21612, 400), twilio.error(21619, 400))
    handset, own = [await channel.send(outgoing(channel)) for _ in range(2)]
    assert handset == Failed(reason="Twilio error 21612", code="21612", where=Where.RECIPIENT)
    assert own == Failed(reason="Twilio error 21619", code="21619", where=Where.PROVIDER)


@pytest.mark.parametrize("trouble", Trouble)
async def test_no_clear_answer_is_in_doubt(
    channel: SmsTwilio, provider: twilio.FakeTwilio, trouble: Trouble
) -> None:
    provider.script(TO, trouble)
    assert isinstance(await channel.send(outgoing(channel)), Unknown)


async def test_a_look_up_wants_the_same_words_from_the_same_sender(
    channel: SmsTwilio, provider: twilio.FakeTwilio
) -> None:
    await channel.send(outgoing(channel))
    assert await channel.look_up(outgoing(channel)) == Accepted(provider_id=provider.accepted[0].sid)
    assert isinstance(await channel.look_up(outgoing(channel, sender="+447700900199")), Unknown)


async def test_a_look_up_that_fails_decides_nothing(channel: SmsTwilio, provider: twilio.FakeTwilio) -> None:
    answers = (twilio.REVOKED, Trouble.FAIL_AS_HTML, twilio.throttled(7), Trouble.HANG)
    provider.script("list", *answers)
    found = [await channel.look_up(outgoing(channel)) for _ in answers]
    assert [each.after_seconds for each in found if isinstance(each, Throttled)] == [0, 0, 7, 0]


async def test_two_texts_with_the_same_words_are_each_found_once(
    channel: SmsTwilio, provider: twilio.FakeTwilio
) -> None:
    for _ in range(2):
        await channel.send(outgoing(channel))
    first, second = (text.sid for text in provider.accepted)
    assert await channel.look_up(outgoing(channel)) == Accepted(provider_id=first)
    assert await channel.look_up(outgoing(channel), claimed=(first,)) == Accepted(provider_id=second)
    assert isinstance(await channel.look_up(outgoing(channel), claimed=(first, second)), Unknown)


async def test_a_text_made_before_the_attempt_is_another_messages(
    channel: SmsTwilio, provider: twilio.FakeTwilio
) -> None:
    await channel.send(outgoing(channel))
    made = provider.accepted[0].at
    assert isinstance(await channel.look_up(outgoing(channel), since=made + timedelta(minutes=2)), Unknown)
    assert isinstance(await channel.look_up(outgoing(channel), since=made), Accepted)


async def test_a_look_up_reads_page_after_page_and_any_zone(
    channel: SmsTwilio, provider: twilio.FakeTwilio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twilio_log, "PAGE_SIZE", 3)
    await channel.send(outgoing(channel))
    first = provider.accepted[0]
    tokyo = timezone(timedelta(hours=9))
    for minutes in range(1, 8):  # other words, later
        at = (first.at + timedelta(minutes=minutes)).astimezone(tokyo)
        provider.accepted.add(replace(first, sid=f"SM{minutes:032x}", body="Road open", at=at), {})
    assert await channel.look_up(outgoing(channel), since=first.at) == Accepted(provider_id=first.sid)
    same = replace(first, sid="SM" + "f" * 32, at=(first.at + timedelta(hours=2)).astimezone(tokyo))
    provider.accepted.add(same, {})
    found = await channel.look_up(outgoing(channel), since=first.at + timedelta(hours=1))
    assert found == Accepted(provider_id=same.sid)
