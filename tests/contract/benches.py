"""The benches of the channels that ship with the service."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from channels.base import Channel, HookRequest, Medium, Refusal, Refused, Throttled, Unknown
from channels.email_smtp import EmailSmtp
from channels.memory import Memory
from channels.outbox import Outbox, read_box
from channels.sms_twilio import SmsTwilio
from channels.smtp_pool import Server
from channels.social_x import SocialX
from tests.contract.bench import Arrived, Bench, Case, World
from tests.fakes import smtp, twilio, web, x

BASE_URL = "https://link.example"
OUR_NUMBER = "+447700900100"
SHORT = 1.5  # a hung provider is waited for this long, so a busy machine must answer sooner


class MemoryWorld(World):
    def __init__(self, channel: Memory, to: str) -> None:
        self.channel, self._memory, self._to = channel, channel, to

    def arrived(self) -> list[Arrived]:
        return [Arrived(to=sent.to, text=sent.words.text) for sent in self._memory.sent]

    def throttle(self, seconds: int) -> None:
        self._memory.script(self._to, Throttled(after_seconds=seconds))

    def cut(self) -> None:
        self._memory.script(self._to, Unknown(reason="scripted"), taken=True)

    def refuse_address(self) -> None:
        self._memory.script(self._to, Refused(why=Refusal.BAD_ADDRESS, reason="scripted"))

    def refuse_opted_out(self) -> None:
        self._memory.script(self._to, Refused(why=Refusal.OPTED_OUT, reason="scripted"))


@asynccontextmanager
async def memory_world(to: str, folder: Path) -> AsyncIterator[World]:
    async with Memory() as channel:
        yield MemoryWorld(channel, to)


class OutboxWorld(World):
    def __init__(self, channel: Outbox) -> None:
        self.channel, self._folder = channel, channel.folder

    def arrived(self) -> list[Arrived]:
        return [Arrived(to=kept.to, text=kept.words.text) for kept in reversed(read_box(self._folder))]

    async def unplug(self) -> None:
        self._folder.write_text("a file where the folder should be")


@asynccontextmanager
async def outbox_world(to: str, folder: Path) -> AsyncIterator[World]:
    async with Outbox(folder / "box") as channel:
        yield OutboxWorld(channel)


class SmtpWorld(World):
    def __init__(self, channel: Channel, mail: smtp.FakeSmtp, to: str) -> None:
        self.channel, self._mail, self._to = channel, mail, to

    def arrived(self) -> list[Arrived]:
        return [Arrived(to=mail.to, text=mail.text().rstrip("\n")) for mail in self._mail.accepted]

    def throttle(self, seconds: int) -> None:
        self._mail.script(self._to, "450 4.7.1 too many messages")

    async def unplug(self) -> None:
        await self._mail.stop()

    def cut(self) -> None:
        self._mail.script_text(self._to, smtp.Trouble.CUT_AFTER_DOT)

    def hang(self) -> None:
        self._mail.script_text(self._to, smtp.Trouble.SILENT_AFTER_DOT)

    def refuse_address(self) -> None:
        self._mail.script(self._to, f"550 5.1.1 <{self._to}>: no such user")


@asynccontextmanager
async def smtp_world(to: str, folder: Path) -> AsyncIterator[World]:
    async with (
        smtp.FakeSmtp() as mail,
        EmailSmtp(
            Server.of(mail.url),
            "link.example",
            connect_seconds=10,
            command_seconds=10,
            final_seconds=SHORT,
        ) as channel,
    ):
        yield SmtpWorld(channel, mail, to)


class TwilioWorld(World):
    def __init__(self, channel: Channel, provider: twilio.FakeTwilio, to: str) -> None:
        self.channel, self._twilio, self._to = channel, provider, to

    def arrived(self) -> list[Arrived]:
        return [Arrived(to=text.to, text=text.body) for text in self._twilio.accepted]

    def throttle(self, seconds: int) -> None:
        self._twilio.script(self._to, twilio.throttled(seconds))

    async def unplug(self) -> None:
        await self._twilio.stop()

    def cut(self) -> None:
        self._twilio.script(self._to, web.Trouble.TAKE_AND_CUT)

    def hang(self) -> None:
        self._twilio.script(self._to, web.Trouble.HANG)

    def refuse_address(self) -> None:
        self._twilio.script(self._to, twilio.error(21211))

    def refuse_opted_out(self) -> None:
        self._twilio.script(self._to, twilio.error(21610))

    def hooks(self) -> Sequence[HookRequest]:
        at = f"{BASE_URL}/hooks/sms_twilio"
        status = {"AccountSid": twilio.ACCOUNT_SID, "MessageSid": "SM" + "a" * 32, "To": self._to}
        texts = ("STOP", "Diolch!\r\n\0£ 😀", "")
        return [
            self._call(f"{at}?attempt=attemptx.mac", status | {"MessageStatus": "delivered"}),
            self._call(at, status | {"MessageStatus": "failed", "ErrorCode": "30005"}),
            *(
                self._call(
                    at,
                    self._twilio.incoming_fields(
                        sender=self._to, to=OUR_NUMBER, body=body, sid=f"SM{n:032x}"
                    ),
                )
                for n, body in enumerate(texts)
            ),
        ]

    def _call(self, url: str, fields: dict[str, str]) -> HookRequest:
        body, headers = self._twilio.signed(url, fields)
        return HookRequest(url=url, headers=headers, body=body)


@asynccontextmanager
async def twilio_world(to: str, folder: Path) -> AsyncIterator[World]:
    async with (
        twilio.FakeTwilio() as provider,
        SmsTwilio(
            twilio.ACCOUNT_SID,
            [twilio.AUTH_TOKEN, "older-token"],
            [OUR_NUMBER],
            base_url=BASE_URL,
            api_url=provider.url,
            timeout_seconds=SHORT,
        ) as channel,
    ):
        yield TwilioWorld(channel, provider, to)


class XWorld(World):
    def __init__(self, channel: Channel, provider: x.FakeX, to: str) -> None:
        self.channel, self._x, self._to = channel, provider, to

    def arrived(self) -> list[Arrived]:
        return [Arrived(to=self._to, text=post.text) for post in self._x.accepted]

    def throttle(self, seconds: int) -> None:
        self._x.script("", x.throttled(seconds))

    async def unplug(self) -> None:
        await self._x.stop()

    def cut(self) -> None:
        self._x.script("", web.Trouble.TAKE_AND_CUT)

    def hang(self) -> None:
        self._x.script("", web.Trouble.HANG)


@asynccontextmanager
async def x_world(to: str, folder: Path) -> AsyncIterator[World]:
    async with (
        x.FakeX() as provider,
        SocialX("a", "b", "c", "d", api_url=provider.url, timeout_seconds=SHORT) as channel,
    ):
        yield XWorld(channel, provider, to)


X_KEYS = (
    "NOTIFIER_X_CONSUMER_KEY",
    "NOTIFIER_X_CONSUMER_SECRET",
    "NOTIFIER_X_ACCESS_TOKEN",
    "NOTIFIER_X_ACCESS_TOKEN_SECRET",
)

BENCHES = (
    Bench(
        name="memory",
        medium=Medium.SMS,
        to="+447700900001",
        odd_spelling=" 0044 7700-900 001",
        impossible={
            Case.UNREACHABLE: "there is no connection",
            Case.HANG: "it never waits",
            Case.HOOKS: "it is polled",
        },
        world=memory_world,
    ),
    Bench(
        name="outbox",
        medium=Medium.EMAIL,
        to="sam@resident.example",
        odd_spelling="\u200bSam@Resident.EXAMPLE ",
        env={"NOTIFIER_OUTBOX_DIR": "box"},
        impossible={
            Case.THROTTLED: "a folder sets no pace",
            Case.CUT: "a rename either happened or did not",
            Case.HANG: "a file is written or an error comes",
            Case.BAD_ADDRESS: "it keeps what it is given",
            Case.OPTED_OUT: "it keeps what it is given",
            Case.HOOKS: "nobody calls",
        },
        world=outbox_world,
    ),
    Bench(
        name="email_smtp",
        medium=Medium.EMAIL,
        to="sam@resident.example",
        odd_spelling="\u200bSam@Resident.EXAMPLE ",
        env={"NOTIFIER_SMTP_URL": "smtp://127.0.0.1:1", "NOTIFIER_MAIL_DOMAIN": "link.example"},
        required=("NOTIFIER_SMTP_URL", "NOTIFIER_MAIL_DOMAIN"),
        impossible={
            Case.OPTED_OUT: "mail has no list of those who left",
            Case.HOOKS: "answers and bounces come by mail",
            Case.LOOK_UP: "no server says what it took",
        },
        world=smtp_world,
    ),
    Bench(
        name="sms_twilio",
        medium=Medium.SMS,
        to="+447700900001",
        odd_spelling=" 0044 7700-900 001",
        env={
            "NOTIFIER_TWILIO_ACCOUNT_SID": twilio.ACCOUNT_SID,
            "NOTIFIER_TWILIO_AUTH_TOKEN": "new, old",
            "NOTIFIER_SMS_NUMBERS": f"{OUR_NUMBER} +447700900101",
        },
        required=("NOTIFIER_TWILIO_ACCOUNT_SID", "NOTIFIER_TWILIO_AUTH_TOKEN", "NOTIFIER_SMS_NUMBERS"),
        world=twilio_world,
    ),
    Bench(
        name="social_x",
        medium=Medium.SOCIAL,
        to="@southmeresnt",
        odd_spelling=" SouthmereSNT",
        env=dict.fromkeys(X_KEYS, "key"),
        required=X_KEYS,
        impossible={
            Case.BAD_ADDRESS: "a post goes to the account whose keys it has",
            Case.OPTED_OUT: "a post has no recipient",
            Case.HOOKS: "answers to posts are not read",
        },
        world=x_world,
    ),
)
