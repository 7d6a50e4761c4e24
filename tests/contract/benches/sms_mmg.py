"""The bench of `sms_mmg`."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from channels.base import Channel, HookRequest, Medium
from channels.sms_mmg import SmsMmg
from tests.contract.bench import BASE_URL, OUR_NUMBER, SHORT, Arrived, Bench, Case, World
from tests.contract.benches.sms_firetext import KEYS, KeyedCalls
from tests.contract.web_world import WebWorld
from tests.fakes import mmg


class MmgWorld(KeyedCalls, WebWorld):
    def __init__(self, channel: Channel, provider: mmg.FakeMmg, to: str) -> None:
        super().__init__(channel, provider, to)
        self._mmg = provider

    def arrived(self) -> list[Arrived]:
        return [Arrived(to=text.to, text=text.body) for text in self._mmg.accepted]

    def hooks(self) -> Sequence[HookRequest]:
        at = f"{BASE_URL}/hooks/sms_mmg"
        text = mmg.AcceptedText(
            name="a1b2", to=self._to, sender="", body="", reference="deliveryx.mac", receipt=""
        )
        receipts = [
            HookRequest(
                url=f"{at}?attempt=attemptx.mac&key={key}",
                headers={},
                body=self._mmg.receipt_body(text, *words),
            )
            for key, words in zip(KEYS, (("3", "5"), ("2", "1")), strict=True)
        ]
        replies = [
            HookRequest(
                url=f"{at}?key={KEYS[0]}",
                headers={},
                body=self._mmg.reply_body(sender=self._to, to=OUR_NUMBER, body=body, name=f"r{at_}"),
            )
            for at_, body in enumerate(("STOP", "Diolch!\r\n£ 😀", ""))
        ]
        return [*receipts, *replies]


@asynccontextmanager
async def mmg_world(to: str, folder: Path) -> AsyncIterator[World]:
    async with (
        mmg.FakeMmg() as provider,
        SmsMmg(
            mmg.API_KEY, [OUR_NUMBER], KEYS, base_url=BASE_URL, api_url=provider.url, timeout_seconds=SHORT
        ) as channel,
    ):
        yield MmgWorld(channel, provider, to)


BENCH = Bench(
    name="sms_mmg",
    medium=Medium.SMS,
    to="+447700900001",
    odd_spelling="(07700) 900001",
    env={
        "NOTIFIER_MMG_API_KEY": mmg.API_KEY,
        "NOTIFIER_MMG_SENDERS": OUR_NUMBER,
        "NOTIFIER_MMG_HOOK_KEYS": KEYS[0],
    },
    required=("NOTIFIER_MMG_API_KEY", "NOTIFIER_MMG_SENDERS", "NOTIFIER_MMG_HOOK_KEYS"),
    impossible={
        Case.BAD_ADDRESS: "MMG publishes no code for it: a receipt says that nobody has the number",
        Case.OPTED_OUT: "MMG publishes no code for it: a person stops by a reply, which we get",
        Case.CHANGED: "MMG signs nothing: the key in the address and TLS guard the body",
        Case.LOOK_UP: "MMG cannot be asked for one text",
    },
    world=mmg_world,
)
