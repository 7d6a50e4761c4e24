"""The bench of `email_postmark`."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from channels.base import HookRequest, Medium
from channels.email_postmark import EmailPostmark
from channels.smtp_pool import Server
from tests.contract.bench import BASE_URL, SHORT, Bench, Case, World
from tests.contract.benches.email_smtp import SmtpWorld
from tests.contract.mail_hooks import IMPOSSIBLE, calls_of
from tests.fakes import postmark


class PostmarkWorld(SmtpWorld):
    def __init__(self, channel: EmailPostmark, provider: postmark.FakePostmark, to: str) -> None:
        super().__init__(channel, provider, to)
        self._provider = provider

    def hooks(self) -> Sequence[HookRequest]:
        return calls_of(self._provider, f"{BASE_URL}/hooks/email_postmark", self._to)

    def changed(self, call: HookRequest) -> Iterable[HookRequest]:
        """Nothing is signed: the password is all there is."""
        name = "Authorization"
        given = call.headers[name]
        for at, letter in enumerate(given):
            other = chr(ord(letter) ^ 1)
            headers = {**call.headers, name: given[:at] + other + given[at + 1 :]}
            yield HookRequest(url=call.url, headers=headers, body=call.body)


@asynccontextmanager
async def postmark_world(to: str, folder: Path) -> AsyncIterator[World]:
    async with (
        postmark.FakePostmark() as provider,
        EmailPostmark(
            Server.of(provider.url),
            "link.example",
            connect_seconds=10,
            command_seconds=10,
            final_seconds=SHORT,
            credentials=["newer:another-long-password", f"{postmark.USER}:{postmark.PASSWORD}"],
        ) as channel,
    ):
        yield PostmarkWorld(channel, provider, to)


BENCH = Bench(
    name="email_postmark",
    medium=Medium.EMAIL,
    to="sam@resident.example",
    odd_spelling="\u200bSam@Resident.EXAMPLE ",
    env={
        "NOTIFIER_POSTMARK_SMTP_URL": "smtp://127.0.0.1:1",
        "NOTIFIER_MAIL_DOMAIN": "link.example",
        "NOTIFIER_POSTMARK_HOOK_CREDENTIALS": f"{postmark.USER}:{postmark.PASSWORD}",
    },
    required=("NOTIFIER_POSTMARK_SMTP_URL", "NOTIFIER_MAIL_DOMAIN", "NOTIFIER_POSTMARK_HOOK_CREDENTIALS"),
    impossible=IMPOSSIBLE | {Case.CHANGED: "Postmark signs nothing: its password and TLS guard the body"},
    world=postmark_world,
)
