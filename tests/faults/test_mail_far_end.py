"""A mail server that is ill, hostile or not there: what the channel makes of it, how soon, and what it never does.

The server's own log of acceptances is the oracle. What the ledger makes of the outcomes is tested elsewhere.
"""

import asyncio
import itertools
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from channels.base import (
    Accepted,
    Content,
    Failed,
    Medium,
    Outcome,
    Outgoing,
    Refusal,
    Refused,
    Throttled,
    Unknown,
    Where,
)
from channels.email_smtp import EmailSmtp
from channels.smtp_pool import Server
from tests.certificates import Authority
from tests.fakes.smtp import FakeSmtp, Greeting

PATIENCE = 1.0  # all before the text, and the answer to it
BUSY = 4.0  # by how much a busy machine may be late
AUTHORITY = Authority()


@pytest.fixture(params=["together", "one by one"])
async def mail(request: pytest.FixtureRequest) -> AsyncIterator[FakeSmtp]:
    async with FakeSmtp(pipelining=request.param == "together") as server:
        yield server


def opened(url: str, *, connections: int = 1, seconds: float = 10) -> EmailSmtp:
    return EmailSmtp(
        replace(Server.of(url), trust=AUTHORITY.trust),
        "link.example",
        connections=connections,
        connect_seconds=seconds,
        command_seconds=seconds,
        final_seconds=seconds,
    )


async def send(channel: EmailSmtp, to: str = "sam@resident.example") -> Outcome:
    content = Content(medium=Medium.EMAIL, language="en", subject="News", text="We will be in the park.")
    return await channel.send(
        Outgoing(
            attempt="a.mac",
            delivery=f"d{to[0]}.mac",
            to=to,
            prepared=channel.prepare(content),
            values={},
            return_path="b+x@link.example",
        )
    )


# --- It refuses (F18, F19) ----------------------------------------------------------------


@pytest.mark.parametrize("after_text", [False, True])
@pytest.mark.parametrize(
    ("reply", "kind"),
    [("421 4.7.0 busy", Throttled), ("451 4.3.0 later", Failed), ("452 4.3.1 full", Failed)],
)
async def test_trouble_of_one_domain_is_told_from_trouble_of_the_server(
    mail: FakeSmtp, reply: str, kind: type, after_text: bool
) -> None:
    mail.refuse(reply, domain="ill.example", after_text=after_text)
    async with opened(mail.url) as channel:
        found = await send(channel, "sam@ill.example")
        assert isinstance(await send(channel, "sam@well.example"), Accepted)
        mail.sender_reply = reply
        all_of_them = await send(channel, "sam@well.example")
    assert type(found) is type(all_of_them) is kind
    assert isinstance(found, Failed | Throttled)
    assert isinstance(all_of_them, Failed | Throttled)
    assert (found.where, all_of_them.where) == (Where.DOMAIN, Where.PROVIDER)
    assert [taken.to for taken in mail.accepted] == ["sam@well.example"]


@pytest.mark.parametrize("after_text", [False, True])
@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("550 5.1.1 no such user", Refusal.BAD_ADDRESS),
        ("552 5.3.4 too large", Refusal.CONTENT),
        ("554 5.7.1 looks like spam", Refusal.CONTENT),
    ],
)
async def test_a_refusal_for_good_is_told_from_one_for_now_and_costs_no_connection(
    mail: FakeSmtp, reply: str, why: Refusal, after_text: bool
) -> None:
    mail.refuse(reply, domain="gone.example", after_text=after_text)
    async with opened(mail.url) as channel:
        refused = [await send(channel, f"{name}@gone.example") for name in "abc"]
        assert isinstance(await send(channel), Accepted)
    assert [found.why if isinstance(found, Refused) else found for found in refused] == [why] * 3
    assert mail.connections == 1


# --- It falls silent (F20) ----------------------------------------------------------------


async def test_a_server_that_accepts_and_says_nothing_frees_its_place_in_time() -> None:
    async def freed(stage: str, pipelining: bool) -> Outcome:
        async with FakeSmtp(pipelining=pipelining) as mail, opened(mail.url, seconds=PATIENCE) as channel:
            if stage not in ("GREETING", "EHLO"):  # a kept connection has no more time than a new one
                assert isinstance(await send(channel), Accepted)
            mail.silent_at = stage
            found = await asyncio.wait_for(send(channel), PATIENCE + BUSY)
            mail.silent_at = ""
            assert isinstance(await send(channel), Accepted)
        return found

    stages = ("GREETING", "EHLO", "MAIL", "RCPT", "DATA")
    for found in await asyncio.gather(*itertools.starmap(freed, itertools.product(stages, (True, False)))):
        assert isinstance(found, Failed)
        assert (found.where, found.code) == (Where.PROVIDER, "timeout")


async def test_a_server_that_never_shakes_hands_frees_its_place_in_time() -> None:
    async with FakeSmtp() as mail:
        mail.greeting = Greeting.SILENT
        async with opened(mail.url.replace("smtp:", "smtps:"), seconds=PATIENCE) as channel:
            found = await asyncio.wait_for(send(channel), PATIENCE + BUSY)
    assert isinstance(found, Failed)


def test_all_before_the_text_takes_a_minute_at_most_and_the_answer_to_it_ten() -> None:
    channel = EmailSmtp(Server.of("smtp://mx.example"), "link.example")
    assert channel._command_seconds == 60
    assert channel._pool._final_seconds == 600
    assert channel.capabilities.timeout_seconds == 660  # what a lease must outlast


# --- It hangs up (F21) --------------------------------------------------------------------


async def test_one_in_twenty_cut_after_the_dot_is_in_doubt_and_no_other(mail: FakeSmtp) -> None:
    mail.cut_share = 0.05
    people = [f"{letter}{number}@resident.example" for letter in "abcde" for number in range(40)]
    async with opened(mail.url, connections=8) as channel:
        outcomes = dict(zip(people, await asyncio.gather(*(send(channel, to) for to in people)), strict=True))
    assert {to for to, found in outcomes.items() if isinstance(found, Unknown)} == set(mail.cut)
    assert sum(isinstance(found, Accepted) for found in outcomes.values()) == 200 - len(mail.cut)
    assert 3 <= len(mail.cut) <= 20
    assert Counter(taken.to for taken in mail.accepted) == dict.fromkeys(people, 1)


# --- It is hostile (F22) ------------------------------------------------------------------


async def test_an_answer_that_drips_has_a_deadline_as_a_whole() -> None:
    async def dripped(pipelining: bool, stage: str) -> type[Outcome]:
        async with FakeSmtp(pipelining=pipelining) as mail, opened(mail.url, seconds=PATIENCE) as channel:
            mail.drip_at, mail.drip_seconds = stage, PATIENCE / 4
            return type(await asyncio.wait_for(send(channel), PATIENCE + BUSY))

    stages = ("GREETING", "EHLO", "MAIL", "RCPT", ".")
    found = await asyncio.gather(*itertools.starmap(dripped, itertools.product((True, False), stages)))
    assert found == [Failed, Failed, Failed, Failed, Unknown] * 2


async def test_a_banner_of_ten_megabytes_is_not_kept() -> None:
    async with FakeSmtp() as mail:
        mail.greeting = Greeting.HUGE
        async with opened(mail.url) as channel:
            tracemalloc.start()
            try:
                found = await send(channel)
                _, most = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
    assert isinstance(found, Failed)
    assert (found.where, found.code) == (Where.PROVIDER, "greeting")
    assert most < 3_000_000


@pytest.mark.parametrize("asked", ["smtp://user:secret@{}?starttls=auto", "smtp://{}?starttls=always"])
async def test_where_tls_is_stripped_nothing_is_said_in_the_clear(asked: str) -> None:
    async with FakeSmtp() as mail, opened(asked.format(f"{mail.host}:{mail.port}")) as channel:
        found = await send(channel)
    assert isinstance(found, Refused)
    assert (found.why, found.code) == (Refusal.NOT_ALLOWED, "tls")
    assert (len(mail.accepted), mail.signed_in_with) == (0, [])


# --- It is not there, or something else is (F40) --------------------------------------------


async def test_a_name_that_nobody_knows_is_said_to_be_so() -> None:
    async with opened("smtp://mail.nowhere.invalid:25") as channel:
        found = await send(channel)
    assert isinstance(found, Failed)
    assert (found.where, found.code) == (Where.PROVIDER, "dns")
    assert found.reason == "the server's name is not known"


async def test_a_server_that_is_down_is_certainly_not_sent_to() -> None:
    async with FakeSmtp() as mail:
        url = mail.url
    async with opened(url) as channel:
        assert await send(channel) == Failed(reason="no connection", code="connection")


@pytest.mark.parametrize(
    ("greeting", "kind", "code"),
    [
        (Greeting.WEB_PAGE, Failed, "greeting"),
        ("421 4.3.2 too many of you", Throttled, "421 4.3.2"),
        ("554 5.7.1 not you", Failed, "554 5.7.1"),
    ],
)
async def test_an_odd_greeting_is_trouble_of_the_server(greeting: str, kind: type, code: str) -> None:
    async with FakeSmtp() as mail:
        mail.greeting = greeting
        async with opened(mail.url) as channel:
            found = await send(channel)
    assert type(found) is kind
    assert isinstance(found, Failed | Throttled)
    assert (found.where, found.code) == (Where.PROVIDER, code)


@pytest.mark.parametrize(
    ("name", "days", "reason"),
    [
        ("127.0.0.1", -1, "the server's certificate has expired"),
        ("mx.other.example", 1, "the server's certificate is for another address"),
    ],
)
async def test_a_certificate_that_cannot_be_believed_is_named_to_staff(
    name: str, days: int, reason: str
) -> None:
    async with (
        FakeSmtp(tls=AUTHORITY.server(name, days=days)) as mail,
        opened(f"{mail.url}?starttls=always") as channel,
    ):
        found = await send(channel)
    assert found == Refused(why=Refusal.NOT_ALLOWED, reason=reason, code="tls")
    assert len(mail.accepted) == 0
