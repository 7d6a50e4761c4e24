"""Texts through MMG: what is posted, what an answer means, and what its calls say."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from channels.base import (
    Accepted,
    Content,
    HookRequest,
    Incoming,
    Medium,
    Outgoing,
    Progress,
    Receipt,
    Refusal,
    Refused,
    Unknown,
)
from channels.errors import BadHook
from channels.sms_mmg import SmsMmg
from tests.fakes import mmg
from tests.fakes.web import Answer, Trouble

TO, OURS, KEY = "+447700900001", "+447700900100", "newer-key-0123456789"
HOOK = "https://link.example/hooks/sms_mmg"


@pytest.fixture
async def provider() -> AsyncIterator[mmg.FakeMmg]:
    async with mmg.FakeMmg() as fake:
        yield fake


@pytest.fixture
async def channel(provider: mmg.FakeMmg) -> AsyncIterator[SmsMmg]:
    async with SmsMmg(
        mmg.API_KEY,
        [OURS],
        [KEY],
        base_url="https://link.example",
        api_url=provider.url,
        timeout_seconds=1.5,
    ) as made:
        yield made


def outgoing(channel: SmsMmg, words: str = "Tŷ Newydd £5") -> Outgoing:
    prepared = channel.prepare(Content(medium=Medium.SMS, language="cy", text=words))
    return Outgoing(attempt="at.mac", delivery="d.mac", to=TO, prepared=prepared, values={})


async def test_a_text_names_its_delivery_and_where_its_receipt_goes(
    channel: SmsMmg, provider: mmg.FakeMmg
) -> None:
    taken = await channel.send(outgoing(channel))
    (text,) = provider.accepted
    assert taken == Accepted(provider_id=text.name)
    assert (text.sender, text.body, text.reference) == (OURS[1:], "Tŷ Newydd £5", "d.mac")
    assert text.receipt == f"{HOOK}?attempt=at.mac&key={KEY}"


@pytest.mark.parametrize(
    ("answer", "why", "code"),
    [
        (mmg.error(206), Refusal.CONTENT, "206"),
        (mmg.error(1, 401), Refusal.NOT_ALLOWED, "1"),
        (mmg.error(9, 402), Refusal.NOT_ALLOWED, "9"),
        (Answer(status=403), Refusal.NOT_ALLOWED, "403"),
    ],
)
async def test_an_answer_means_what_its_status_says(
    channel: SmsMmg, provider: mmg.FakeMmg, answer: Answer, why: Refusal, code: str
) -> None:
    provider.script(TO, answer)
    assert await channel.send(outgoing(channel)) == Refused(why=why, reason=f"MMG error {code}", code=code)


@pytest.mark.parametrize("trouble", [*Trouble, Answer(status=200, body={"Reference": None})])
async def test_no_clear_answer_is_in_doubt(
    channel: SmsMmg, provider: mmg.FakeMmg, trouble: Trouble | Answer
) -> None:
    provider.script(TO, trouble)
    assert isinstance(await channel.send(outgoing(channel)), Unknown)


@pytest.mark.parametrize(
    ("status", "detail", "progress", "code", "permanent"),
    [
        ("3", "5", Progress.DELIVERED, "3.5", False),
        ("3", "", Progress.DELIVERED, "", False),
        ("2", "1", Progress.UNDELIVERED, "2.1", True),
        ("2", "5", Progress.UNDELIVERED, "2.5", True),
        ("2", "2050", Progress.UNDELIVERED, "2.2050", False),
        ("4", "15", Progress.UNDELIVERED, "4.15", False),
        ("5", "52", Progress.UNDELIVERED, "5.52", True),
        ("5", "20", Progress.UNDELIVERED, "5.20", False),
        ("5", "<b>", Progress.UNDELIVERED, "", False),
    ],
)
async def test_a_receipt_says_what_became_of_its_attempt(
    channel: SmsMmg,
    provider: mmg.FakeMmg,
    status: str,
    detail: str,
    progress: Progress,
    code: str,
    *,
    permanent: bool,
) -> None:
    await channel.send(outgoing(channel))
    text = provider.accepted[0]
    request = HookRequest(url=text.receipt, headers={}, body=provider.receipt_body(text, status, detail))
    assert await channel.verify(request)
    (receipt,) = channel.parse(request)
    assert receipt == Receipt(
        event_id=f"at.mac:{status}:{code}", provider_id=text.name, attempt="at.mac", progress=progress,
        at=datetime(2026, 7, 1, 8, 30, tzinfo=UTC), raw=request.body, code=code, permanent=permanent,
    )  # fmt: skip


def test_a_reply_comes_in_as_it_was_written_under_its_id(channel: SmsMmg, provider: mmg.FakeMmg) -> None:
    words = "  Lamp\r\nis out £ŵ😀 + more %2B "
    body = provider.reply_body(sender=TO, to=OURS, body=words, name="r1")
    (incoming,) = channel.parse(HookRequest(url=HOOK, headers={}, body=body))
    assert isinstance(incoming, Incoming)
    assert (incoming.event_id, incoming.sender, incoming.recipient) == ("reply:r1", TO, OURS)
    assert (incoming.text, incoming.at) == (words, datetime(2026, 7, 1, 8, 30, tzinfo=UTC))


@pytest.mark.parametrize(
    "told",
    [{}, {"status": "9", "reference": "a"}, {"status": "3"}, {"ID": "1", "MSISDN": "44"}, {"MSISDN": "44", "Message": "a"}, [], "x" * 200_000],
)  # fmt: skip
def test_what_cannot_be_read_is_a_bad_hook(channel: SmsMmg, told: object) -> None:
    with pytest.raises(BadHook):
        channel.parse(HookRequest(url=HOOK, headers={}, body=json.dumps(told).encode()))
