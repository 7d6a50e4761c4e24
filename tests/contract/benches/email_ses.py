"""The bench of `email_ses`."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from channels.base import HookRequest, Medium
from channels.email_ses import EmailSes
from channels.smtp_pool import Server
from channels.sns import Sns
from tests.contract.bench import BASE_URL, SHORT, Bench, World, bytes_changed
from tests.contract.benches.email_smtp import SmtpWorld
from tests.contract.mail_hooks import IMPOSSIBLE, calls_of
from tests.fakes import ses

UNSIGNED = b'"UnsubscribeURL":'


class SesWorld(SmtpWorld):
    def __init__(self, channel: EmailSes, provider: ses.FakeSes, to: str) -> None:
        super().__init__(channel, provider, to)
        self._provider = provider

    def hooks(self) -> Sequence[HookRequest]:
        return calls_of(self._provider, f"{BASE_URL}/hooks/email_ses", self._to)

    def changed(self, call: HookRequest) -> Iterable[HookRequest]:
        """SNS signs all we read, but not the address by which to leave its topic, which we never visit."""
        start = call.body.index(UNSIGNED)
        end = call.body.index(b'"', start + len(UNSIGNED) + 1)
        return bytes_changed(call, [*range(start), *range(end, len(call.body))])

    def unsigned(self, call: HookRequest) -> HookRequest:
        """The signature stands in the body."""
        body = call.body.replace(b'"Signature"', b'"Unsigned"')
        return HookRequest(url=call.url, headers=call.headers, body=body)


@asynccontextmanager
async def ses_world(to: str, folder: Path) -> AsyncIterator[World]:
    async with (
        ses.FakeSes() as provider,
        EmailSes(
            Server.of(provider.url),
            "link.example",
            connect_seconds=10,
            command_seconds=10,
            final_seconds=SHORT,
            sns=Sns([ses.TOPIC], origin=provider.sns.url),
        ) as channel,
    ):
        yield SesWorld(channel, provider, to)


BENCH = Bench(
    name="email_ses",
    medium=Medium.EMAIL,
    to="sam@resident.example",
    odd_spelling="\u200bSam@Resident.EXAMPLE ",
    env={
        "NOTIFIER_SES_SMTP_URL": "smtp://127.0.0.1:1",
        "NOTIFIER_MAIL_DOMAIN": "link.example",
        "NOTIFIER_SES_TOPIC_ARN": ses.TOPIC,
    },
    required=("NOTIFIER_SES_SMTP_URL", "NOTIFIER_MAIL_DOMAIN", "NOTIFIER_SES_TOPIC_ARN"),
    impossible=IMPOSSIBLE,
    world=ses_world,
)
