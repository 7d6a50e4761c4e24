"""The bench of `email_smtp`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from channels.base import Channel, Medium
from channels.email_smtp import EmailSmtp
from channels.smtp_pool import Server
from tests.contract.bench import SHORT, Arrived, Bench, Case, World
from tests.fakes import smtp


class SmtpWorld(World):
    def __init__(self, channel: Channel, mail: smtp.FakeSmtp, to: str) -> None:
        self.channel, self._mail, self._to = channel, mail, to

    def arrived(self) -> list[Arrived]:
        return [Arrived(to=mail.to, text=mail.text().rstrip("\n")) for mail in self._mail.accepted]

    def throttle(self, seconds: int) -> None:
        self._mail.script(self._to, "450 4.7.1 too many messages")

    async def unplug(self) -> None:
        await self._mail.unplug()

    def cut(self) -> None:
        self._mail.script_text(self._to, smtp.Trouble.CUT_AFTER_DOT)

    def garble(self) -> None:
        self._mail.script_text(self._to, "Zwolle")

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


BENCH = Bench(
    name="email_smtp",
    medium=Medium.EMAIL,
    to="sam@resident.example",
    odd_spelling="\u200bSam@Resident.EXAMPLE ",
    env={"NOTIFIER_SMTP_URL": "smtp://127.0.0.1:1", "NOTIFIER_MAIL_DOMAIN": "link.example"},
    required=("NOTIFIER_SMTP_URL", "NOTIFIER_MAIL_DOMAIN"),
    impossible={
        Case.OPTED_OUT: "mail has no list of those who left",
        Case.WEB: "mail goes by SMTP",
        Case.HOOKS: "answers and bounces come by mail",
        Case.LOOK_UP: "no server says what it took",
    },
    world=smtp_world,
)
