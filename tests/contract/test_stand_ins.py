"""The stand-ins as a process of their own, as the compose file and checks across processes use them."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import aiohttp.web

from channels.base import Accepted, Content, Medium, Outgoing, Refused, Throttled
from channels.email_smtp import EmailSmtp
from channels.outbox import read_box
from channels.sms_twilio import SmsTwilio
from channels.smtp_pool import Server
from channels.social_x import EVERYBODY, SocialX
from tests.fakes import smtp, twilio
from tests.fakes.box import keep_showing
from tests.fakes.control import Control
from tests.providers import until


def outgoing(medium: Medium, to: str, channel: EmailSmtp | SmsTwilio | SocialX) -> Outgoing:
    prepared = channel.prepare(Content(medium=medium, language="en", text="Road closed"))
    return Outgoing(attempt="a.mac", delivery="abc.mac", to=to, prepared=prepared, values={})


async def test_they_run_as_a_process_accept_and_log_what_they_accepted(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fakes", "--log", str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        at = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
        async with (
            EmailSmtp(Server.of(at["smtp"]), "link.example") as mail,
            SmsTwilio(
                twilio.ACCOUNT_SID, [twilio.AUTH_TOKEN], ["+447700900100"], api_url=at["twilio"]
            ) as texts,
            SocialX("a", "b", {EVERYBODY: "c:d"}, api_url=at["x"]) as posts,
        ):
            taken = [
                await mail.send(outgoing(Medium.EMAIL, "sam@resident.example", mail)),
                await texts.send(outgoing(Medium.SMS, "+447700900001", texts)),
                await posts.send(outgoing(Medium.SOCIAL, "@southmere", posts)),
            ]
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 10)
    assert all(isinstance(outcome, Accepted) for outcome in taken)
    assert process.returncode == 0
    logged = {
        name: json.loads((tmp_path / f"{name}.jsonl").read_text()) for name in ("mail", "texts", "posts")
    }
    assert logged["mail"]["to"] == "sam@resident.example"
    assert logged["texts"]["body"] == "Road closed"
    assert logged["posts"]["text"] == "Road closed"


async def test_a_text_and_its_receipts_are_posted_signed(tmp_path: Path) -> None:
    calls: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    async def take(request: aiohttp.web.BaseRequest) -> aiohttp.web.StreamResponse:
        assert request.headers["X-Twilio-Signature"]
        calls.put_nowait((str(request.rel_url), await request.read()))
        return aiohttp.web.Response()

    server = aiohttp.web.Server(take)
    runner = aiohttp.web.ServerRunner(server)
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    hooks = f"http://127.0.0.1:{runner.addresses[0][1]}"
    public = "https://link.example"
    async with (
        twilio.FakeTwilio(calls_back=True, hooks_url=hooks) as provider,
        SmsTwilio(
            twilio.ACCOUNT_SID, [twilio.AUTH_TOKEN], ["+447700900100"], base_url=public, api_url=provider.url
        ) as channel,
    ):
        await channel.send(outgoing(Medium.SMS, "+447700900001", channel))
        await provider.post_incoming(
            f"{public}/hooks/sms_twilio", sender="+447700900001", to="+447700900100", body="STOP"
        )
        async with asyncio.timeout(5):
            got = [await calls.get() for _ in range(3)]
    await runner.cleanup()
    words = sorted(
        word for _, body in got for word in (b"=sent", b"=delivered", b"Body=STOP") if word in body
    )
    assert words == [b"=delivered", b"=sent", b"Body=STOP"]
    assert {path for path, body in got if b"MessageStatus" in body} == {"/hooks/sms_twilio?attempt=a.mac"}


async def test_they_are_made_to_go_wrong_by_hand_and_shown_on_the_demos_page(tmp_path: Path) -> None:
    mail, texts = smtp.FakeSmtp(), twilio.FakeTwilio()
    sam, number = "sam@resident.example", "+447700900001"
    async with (
        mail,
        texts,
        Control({"smtp": mail, "twilio": texts}) as control,
        EmailSmtp(Server.of(mail.url), "link.example") as by_mail,
        SmsTwilio(twilio.ACCOUNT_SID, [twilio.AUTH_TOKEN], ["+447700900100"], api_url=texts.url) as by_text,
        aiohttp.ClientSession() as hand,
    ):
        asked = [
            ("smtp", {"about": sam, "answers": ["450 4.7.1 slow down"]}, 200),
            ("twilio", {"answers": [{"status": 400, "body": {"code": 21610}}]}, 200),
            ("twilio", {"answers": ["no such trouble"]}, 422),
            ("smtp", {"answers": ["450 no"]}, 422),
            ("carrier", {}, 404),
        ]
        for name, wish, status in asked:
            async with hand.post(f"{control.url}/{name}/trouble", json=wish) as reply:
                assert reply.status == status, await reply.text()
        first = [
            await by_mail.send(outgoing(Medium.EMAIL, sam, by_mail)),
            await by_text.send(outgoing(Medium.SMS, number, by_text)),
        ]
        assert [type(outcome) for outcome in first] == [Throttled, Refused]
        await by_mail.send(outgoing(Medium.EMAIL, sam, by_mail))
        await by_text.send(outgoing(Medium.SMS, number, by_text))
        showing = asyncio.create_task(keep_showing(tmp_path, [mail.accepted, texts.accepted]))
        await until(lambda: len(read_box(tmp_path)) == 2, seconds=5, what="both are shown")
        showing.cancel()
        async with hand.get(control.url) as reply:
            assert (await reply.json())["taken"] == {"smtp": 1, "twilio": 1}
    shown = {kept.medium: (kept.to, kept.words.text.strip()) for kept in read_box(tmp_path)}
    assert shown == {Medium.EMAIL: (sam, "Road closed"), Medium.SMS: (number, "Road closed")}
