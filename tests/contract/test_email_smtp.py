"""Email: what each break and each reply means, and how connections are kept.

Everything holds whether the server takes commands together (PIPELINING) or one by one, in the clear or over TLS.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any

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
    hole,
)
from channels.email_smtp import EmailSmtp, delivery_of, message_id
from channels.smtp_pool import Server
from tests.certificates import Authority
from tests.fakes.smtp import FakeSmtp, Trouble
from tests.processes import outside_the_loop

TO = "sam@resident.example"
CONTENT = Content(
    medium=Medium.EMAIL,
    language="en",
    subject="News",
    text=f"Dear {hole('name')}\n.\n..dots\n",
    html="<p>x</p>",
)


AUTHORITY = Authority()


@pytest.fixture(params=["together", "one by one", "together over TLS"])
async def mail(request: pytest.FixtureRequest) -> AsyncIterator[FakeSmtp]:
    tls = AUTHORITY.server() if "TLS" in request.param else None
    async with FakeSmtp(pipelining="together" in request.param, tls=tls) as server:
        yield server


@pytest.fixture
async def channel(mail: FakeSmtp) -> AsyncIterator[EmailSmtp]:
    async with opened(mail) as made:
        yield made


def opened(
    mail: FakeSmtp, *, url: str = "", connections: int = 1, recycle_after: int = 100, seconds: float = 10
) -> EmailSmtp:
    """seconds: how long anything is waited for."""
    address = url or f"{mail.url}?starttls={'always' if mail.tls else 'never'}"
    return EmailSmtp(
        replace(Server.of(address), trust=AUTHORITY.trust),
        "link.example",
        connections=connections,
        recycle_after=recycle_after,
        connect_seconds=seconds,
        command_seconds=seconds,
        final_seconds=seconds,
        now=lambda: datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC),
    )


def outgoing(
    channel: EmailSmtp,
    to: str = TO,
    *,
    sender: str = "team@link.example",
    reply_to: str = "",
    headers: dict[str, str] | None = None,
) -> Outgoing:
    return Outgoing(
        attempt="a.mac",
        delivery="abc234.xyz",
        to=to,
        prepared=channel.prepare(CONTENT),
        values={"name": "Sam"},
        sender=sender,
        return_path="b+x@link.example",
        reply_to=reply_to,
        headers=headers or {},
    )


async def send(channel: EmailSmtp, to: str = TO, **more: Any) -> Outcome:
    return await channel.send(outgoing(channel, to, **more))


async def test_the_envelope_the_names_and_the_dots_arrive_as_meant(
    mail: FakeSmtp, channel: EmailSmtp
) -> None:
    await send(channel, reply_to="r+x@link.example", headers={"List-Id": "<x.link.example>"})
    (taken,) = mail.accepted
    assert (taken.sender, taken.to) == ("b+x@link.example", TO)
    assert taken.message["Message-ID"] == "<d.abc234.xyz@link.example>"
    assert taken.message["Reply-To"] == "r+x@link.example"
    assert taken.message["List-Id"] == "<x.link.example>"
    assert taken.text() == "Dear Sam\n.\n..dots\n"


def test_a_message_id_leads_back_to_its_delivery() -> None:
    assert delivery_of(message_id("abc234.xyz", "link.example")) == "abc234.xyz"
    assert delivery_of("<D.ABC234.XYZ@LINK.EXAMPLE>") == "abc234.xyz"
    assert delivery_of("<other@x.example>") is None
    assert delivery_of("") is None


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        ("550 5.1.1 no such user", Refusal.BAD_ADDRESS),
        ("550 no such user", Refusal.BAD_ADDRESS),
        ("553 5.1.3 bad address", Refusal.BAD_ADDRESS),
        ("550 5.2.1 mailbox closed", Refusal.BAD_ADDRESS),
        ("556 5.1.10 takes no mail", Refusal.BAD_ADDRESS),
        ("550 5.7.1 blocked", Refusal.CONTENT),
        ("554 5.7.1 relay access denied", Refusal.NOT_ALLOWED),
        ("530 5.7.0 authentication required", Refusal.NOT_ALLOWED),
        ("552 5.2.2 mailbox full", Failed),
        ("554 no", Refusal.CONTENT),
        ("421 4.3.2 closing", Throttled),
        ("450 4.7.1 greylisted", Throttled),
        ("451 4.3.0 try later", Failed),
        ("452 4.2.2 mailbox full", Failed),
    ],
)
async def test_a_reply_about_the_recipient_means_what_it_says(
    mail: FakeSmtp, channel: EmailSmtp, reply: str, outcome: Refusal | type
) -> None:
    mail.script(TO, reply)
    found = await send(channel)
    assert (found.why if isinstance(found, Refused) else type(found)) == outcome
    assert len(mail.accepted) == 0
    assert isinstance(await send(channel), Accepted)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        ("554 5.7.1 looks like spam", Refusal.CONTENT),
        ("550 5.1.1 gone", Refusal.BAD_ADDRESS),
        ("452 4.3.1 disk full", Failed),
        ("421 4.7.0 slow down", Throttled),
    ],
)
async def test_a_reply_about_the_text_means_what_it_says(
    mail: FakeSmtp, channel: EmailSmtp, reply: str, outcome: Refusal | type
) -> None:
    mail.script_text(TO, reply)
    found = await send(channel)
    assert (found.why if isinstance(found, Refused) else type(found)) == outcome
    assert len(mail.accepted) == 0


@pytest.mark.parametrize("trouble", [Trouble.CUT_AT_RECIPIENT, Trouble.CUT_AT_TEXT])
async def test_a_break_before_the_text_is_certainly_not_sent(
    mail: FakeSmtp, channel: EmailSmtp, trouble: Trouble
) -> None:
    (mail.script if trouble is Trouble.CUT_AT_RECIPIENT else mail.script_text)(TO, trouble)
    assert isinstance(await send(channel), Failed)
    assert isinstance(await send(channel), Accepted)
    assert len(mail.accepted) == 1


async def test_a_break_after_the_text_is_in_doubt_and_its_connection_is_dropped(
    mail: FakeSmtp, channel: EmailSmtp
) -> None:
    mail.script_text(TO, Trouble.CUT_AFTER_DOT)
    assert isinstance(await send(channel), Unknown)
    assert isinstance(await send(channel), Accepted)
    assert mail.connections == 2


async def test_no_answer_in_time_means_what_it_means_at_its_stage(mail: FakeSmtp) -> None:
    mail.script("a@b.example", Trouble.SILENT_AT_RECIPIENT)
    mail.script_text("c@b.example", Trouble.SILENT_AFTER_DOT)
    async with opened(mail, connections=2, seconds=1) as channel:
        found = await asyncio.gather(send(channel, "a@b.example"), send(channel, "c@b.example"))
        assert [type(outcome) for outcome in found] == [Failed, Unknown]
        assert mail.connections == 2
        assert isinstance(await send(channel), Accepted)
    assert mail.connections == 3


async def test_a_server_that_wants_a_text_for_nobody_gets_an_empty_one(
    mail: FakeSmtp, channel: EmailSmtp
) -> None:
    mail.says_354_to_all = True
    mail.script(TO, "550 5.1.1 no such user")
    assert isinstance(await send(channel), Refused)
    assert mail.unwanted == ([b".\r\n"] if mail.pipelining else [])
    assert isinstance(await send(channel), Accepted)
    assert mail.connections == 1


async def test_a_kept_connection_that_the_server_closed_costs_no_attempt(
    mail: FakeSmtp, channel: EmailSmtp
) -> None:
    await send(channel)
    mail.script(TO, Trouble.CUT_AT_RECIPIENT)
    assert isinstance(await send(channel), Accepted)
    assert len(mail.accepted) == 2


async def test_a_server_that_says_it_closes_costs_no_attempt_on_a_kept_connection(
    mail: FakeSmtp, channel: EmailSmtp
) -> None:
    await send(channel)
    mail.script(TO, "421 4.4.2 idle too long")
    assert isinstance(await send(channel), Accepted)
    assert mail.connections == 2


async def test_connections_are_kept_shared_out_and_renewed(mail: FakeSmtp) -> None:
    async with opened(mail, connections=3, recycle_after=5) as channel:
        outcomes = await asyncio.gather(*(send(channel, f"u{n}@resident.example") for n in range(30)))
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert len({taken.to for taken in mail.accepted}) == 30
    assert 6 <= mail.connections <= 9


@pytest.mark.parametrize(
    "more",
    [{"headers": {"X-A": "a\r\nBcc: v@x.example"}}, {"reply_to": "a@b.example\r\nBcc: v@x.example"}, {"sender": "a@b.example>\r\nX: y"},
     {"headers": {"Bcc": "v@x.example"}}],
)  # fmt: skip
async def test_a_line_break_in_any_header_is_refused_before_anything_is_said(
    mail: FakeSmtp, channel: EmailSmtp, more: dict[str, Any]
) -> None:
    assert isinstance(await send(channel, **more), Refused)
    assert mail.connections == 0


async def test_a_recipient_with_a_line_break_is_a_bad_address(mail: FakeSmtp, channel: EmailSmtp) -> None:
    found = await send(channel, "a@b.example>\r\nRCPT TO:<v@x.example")
    assert isinstance(found, Refused)
    assert found.why is Refusal.BAD_ADDRESS
    assert mail.connections == 0


async def test_what_a_server_says_of_an_address_is_kept_without_it(
    mail: FakeSmtp, channel: EmailSmtp
) -> None:
    mail.script(TO, f"550 5.1.1 <{TO}>: user unknown")
    assert TO not in repr(await send(channel))


@pytest.mark.parametrize(
    "more",
    [{"return_path": "a@b.example> X=y"}, {"return_path": "a@b.example\r\nRCPT TO:<v@x.example"}, {"return_path": "é@b.example"},
     {"sender": "a b@c.example"}, {"sender": "a@b.example", "return_path": "<"}],
)  # fmt: skip
async def test_a_return_path_that_would_say_more_is_refused(
    mail: FakeSmtp, channel: EmailSmtp, more: dict[str, str]
) -> None:
    values = {"return_path": ""} | more
    found = await channel.send(replace(outgoing(channel), **values))  # type: ignore[arg-type]
    assert isinstance(found, Refused)
    assert mail.connections == 0


async def test_an_address_in_another_spelling_is_written_to_in_its_one_spelling(
    mail: FakeSmtp, channel: EmailSmtp
) -> None:
    await send(channel, " Sam@Résident.example\r\n")
    (taken,) = mail.accepted
    assert taken.to == taken.message["To"] == "sam@xn--rsident-bya.example"


async def test_the_same_octets_leave_however_they_are_said() -> None:
    taken = set()
    for pipelining in (True, False):
        async with FakeSmtp(pipelining=pipelining) as mail, opened(mail) as channel:
            await send(channel, reply_to="r+x@link.example", headers={"List-Id": "<x.link.example>"})
            taken.add(mail.accepted[0].raw)
    assert len(taken) == 1


# --- TLS and signing in -------------------------------------------------------------------


async def test_it_signs_in_over_tls_and_then_sends() -> None:
    async with FakeSmtp(tls=AUTHORITY.server()) as mail:
        url = mail.url.replace("smtp://", "smtp://user:secret@") + "?starttls=auto"
        async with opened(mail, url=url) as channel:
            assert isinstance(await send(channel), Accepted)
    assert mail.signed_in_with == [b"secret"]


async def test_a_certificate_of_an_unknown_authority_is_named() -> None:
    async with FakeSmtp(tls=Authority().server()) as mail, opened(mail) as channel:
        found = await send(channel)
    assert isinstance(found, Refused)
    assert "anyone we trust" in found.reason


# --- Loops --------------------------------------------------------------------------------


def loops() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every event loop that is installed: the service runs on uvloop where it is."""
    found: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if find_spec("uvloop"):
        import uvloop

        found["uvloop"] = uvloop.new_event_loop
    return found


@pytest.mark.parametrize("loop", loops())
@pytest.mark.parametrize("is_tls", [False, True])
def test_it_sends_on_every_loop(loop: str, is_tls: bool) -> None:
    async def story() -> tuple[list[type], int, int]:
        async with FakeSmtp(tls=AUTHORITY.server() if is_tls else None) as mail:
            async with opened(mail, connections=2, recycle_after=4) as channel:
                mail.script(TO, "550 5.1.1 no such user")
                mail.script_text("cut@resident.example", Trouble.CUT_AFTER_DOT)
                first = [type(await send(channel, to)) for to in (TO, "cut@resident.example", TO)]
                rest = await asyncio.gather(*(send(channel, f"u{n}@resident.example") for n in range(20)))
            return first, sum(isinstance(outcome, Accepted) for outcome in rest), len(mail.accepted)

    def run() -> tuple[list[type], int, int]:
        with asyncio.Runner(loop_factory=loops()[loop]) as runner:
            return runner.run(story())

    assert outside_the_loop(run) == ([Refused, Unknown, Accepted], 20, 22)


# --- Connections --------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "connections"), [(None, 16), ("1", 1), ("256", 256)])
async def test_the_number_of_connections_is_a_setting(given: str | None, connections: int) -> None:
    async with FakeSmtp() as mail:
        mail.final_delay_seconds = 0.03  # so that all of them are needed at once
        env = {"NOTIFIER_SMTP_URL": mail.url, "NOTIFIER_MAIL_DOMAIN": "link.example"}
        async with EmailSmtp.from_env(
            env | ({} if given is None else {"NOTIFIER_SMTP_CONNECTIONS": given})
        ) as channel:
            await asyncio.gather(*(send(channel, f"u{n}@resident.example") for n in range(20)))
    assert mail.connections == min(connections, 20)


async def test_an_alert_never_waits_for_a_connection_behind_a_bulletin() -> None:
    async with FakeSmtp() as mail:
        mail.script_text(TO, Trouble.SILENT_AFTER_DOT)
        async with opened(mail, connections=1) as channel:
            bulletin = asyncio.create_task(send(channel))
            await asyncio.sleep(0.1)
            alert = replace(outgoing(channel, "a@resident.example"), urgent=True)
            assert isinstance(await asyncio.wait_for(channel.send(alert), 5), Accepted)
            bulletin.cancel()
