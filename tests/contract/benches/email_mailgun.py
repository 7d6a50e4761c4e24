"""The bench of `email_mailgun`."""

import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from channels.base import HookRequest, Medium
from channels.email_mailgun import EmailMailgun
from channels.smtp_pool import Server
from tests.contract.bench import BASE_URL, SHORT, Bench, Case, World, bytes_changed
from tests.contract.benches.email_smtp import SmtpWorld
from tests.contract.mail_hooks import IMPOSSIBLE, calls_of
from tests.fakes import mailgun

SIGNED = re.compile(rb'(?:timestamp|token|signature)(?:":"|=)(\w+)')


class MailgunWorld(SmtpWorld):
    def __init__(self, channel: EmailMailgun, provider: mailgun.FakeMailgun, to: str) -> None:
        super().__init__(channel, provider, to)
        self._provider = provider

    def hooks(self) -> Sequence[HookRequest]:
        return calls_of(self._provider, f"{BASE_URL}/hooks/email_mailgun", self._to)

    def changed(self, call: HookRequest) -> Iterable[HookRequest]:
        """A time and a word are signed, and nothing else."""
        signed = [found.span(1) for found in SIGNED.finditer(call.body)]
        return bytes_changed(call, [at for start, end in signed for at in range(start, end)])

    def unsigned(self, call: HookRequest) -> HookRequest:
        """The signature stands in the body."""
        body = SIGNED.sub(b"", call.body)
        return HookRequest(url=call.url, headers=call.headers, body=body)


@asynccontextmanager
async def mailgun_world(to: str, folder: Path) -> AsyncIterator[World]:
    async with (
        mailgun.FakeMailgun() as provider,
        EmailMailgun(
            Server.of(provider.url),
            "link.example",
            connect_seconds=10,
            command_seconds=10,
            final_seconds=SHORT,
            signing_keys=["a-newer-key", mailgun.KEY],
        ) as channel,
    ):
        yield MailgunWorld(channel, provider, to)


BENCH = Bench(
    name="email_mailgun",
    medium=Medium.EMAIL,
    to="sam@resident.example",
    odd_spelling="\u200bSam@Resident.EXAMPLE ",
    env={
        "NOTIFIER_MAILGUN_SMTP_URL": "smtp://127.0.0.1:1",
        "NOTIFIER_MAIL_DOMAIN": "link.example",
        "NOTIFIER_MAILGUN_SIGNING_KEYS": "new, old",
    },
    required=("NOTIFIER_MAILGUN_SMTP_URL", "NOTIFIER_MAIL_DOMAIN", "NOTIFIER_MAILGUN_SIGNING_KEYS"),
    impossible=IMPOSSIBLE | {Case.CHANGED: "Mailgun signs a time and a word, not the body: TLS guards it"},
    world=mailgun_world,
)
