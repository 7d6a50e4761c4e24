"""The bench of `sms_firetext`."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from channels.base import Channel, HookRequest, Medium
from channels.sms_firetext import SmsFiretext
from tests.contract.bench import BASE_URL, OUR_NUMBER, SHORT, Arrived, Bench, Case, World
from tests.contract.web_world import WebWorld
from tests.fakes import firetext

KEYS = ("newer-key-0123456789", "older-key-0123456789")


class KeyedCalls(World):
    """A provider that signs nothing: the key in the address of its call is all there is."""

    def changed(self, call: HookRequest) -> Iterable[HookRequest]:
        start, _, key = call.url.partition("key=")
        for at, letter in enumerate(key):
            other = chr(ord(letter) ^ 1)
            yield HookRequest(
                url=f"{start}key={key[:at]}{other}{key[at + 1 :]}", headers=call.headers, body=call.body
            )

    def unsigned(self, call: HookRequest) -> HookRequest:
        return HookRequest(url=call.url.partition("key=")[0], headers=call.headers, body=call.body)


class FiretextWorld(KeyedCalls, WebWorld):
    def __init__(self, channel: Channel, provider: firetext.FakeFiretext, to: str) -> None:
        super().__init__(channel, provider, to)
        self._firetext = provider

    def arrived(self) -> list[Arrived]:
        return [Arrived(to=text.to, text=text.body) for text in self._firetext.accepted]

    def refuse_address(self) -> None:
        self.next(firetext.said(2))

    def hooks(self) -> Sequence[HookRequest]:
        at = f"{BASE_URL}/hooks/sms_firetext"
        text = firetext.AcceptedText(
            to=self._to, sender="", body="", reference="deliveryx.mac", receipt="", is_unicode=False
        )
        receipts = [
            HookRequest(
                url=f"{at}?attempt=attemptx.mac&key={key}",
                headers={},
                body=self._firetext.receipt_form(text, *word),
            )
            for key, word in zip(KEYS, (("0",), ("1", "101")), strict=True)
        ]
        replies = [
            HookRequest(
                url=f"{at}?key={KEYS[0]}",
                headers={},
                body=self._firetext.reply_form(sender=self._to, to=OUR_NUMBER, body=body),
            )
            for body in ("STOP", "Diolch!\r\n£ 😀", "")
        ]
        return [*receipts, *replies]


@asynccontextmanager
async def firetext_world(to: str, folder: Path) -> AsyncIterator[World]:
    async with (
        firetext.FakeFiretext() as provider,
        SmsFiretext(
            firetext.API_KEY,
            [OUR_NUMBER],
            KEYS,
            base_url=BASE_URL,
            api_url=provider.url,
            timeout_seconds=SHORT,
        ) as channel,
    ):
        yield FiretextWorld(channel, provider, to)


BENCH = Bench(
    name="sms_firetext",
    medium=Medium.SMS,
    to="+447700900001",
    odd_spelling="07700 900 001",
    env={
        "NOTIFIER_FIRETEXT_API_KEY": firetext.API_KEY,
        "NOTIFIER_FIRETEXT_SENDERS": f"{OUR_NUMBER}, Southmere",
        "NOTIFIER_FIRETEXT_HOOK_KEYS": ", ".join(KEYS),
    },
    required=("NOTIFIER_FIRETEXT_API_KEY", "NOTIFIER_FIRETEXT_SENDERS", "NOTIFIER_FIRETEXT_HOOK_KEYS"),
    impossible={
        Case.OPTED_OUT: "FireText has no code for it: a person stops by a reply, which we get",
        Case.CHANGED: "FireText signs nothing: the key in the address and TLS guard the body",
    },
    world=firetext_world,
)
