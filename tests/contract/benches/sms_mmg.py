"""The bench of `sms_mmg`."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from channels.base import Channel, HookRequest, Medium
from channels.sms_mmg import SmsMmg
from tests.contract.bench import BASE_URL, OUR_NUMBER, SHORT, Arrived, Bench, Case, World
from tests.contract.benches.sms_firetext import KEYS, KeyedCalls
from tests.fakes import mmg, web


class MmgWorld(KeyedCalls):
    def __init__(self, channel: Channel, provider: mmg.FakeMmg, to: str) -> None:
        self.channel, self._mmg, self._to = channel, provider, to

    def arrived(self) -> list[Arrived]:
        return [Arrived(to=text.to, text=text.body) for text in self._mmg.accepted]

    def throttle(self, seconds: int) -> None:
        self._mmg.script(self._to, web.Answer(status=429, headers={"Retry-After": str(seconds)}))

    async def unplug(self) -> None:
        await self._mmg.stop()

    def cut(self) -> None:
        self._mmg.script(self._to, web.Trouble.TAKE_AND_CUT)

    def hang(self) -> None:
        self._mmg.script(self._to, web.Trouble.HANG)

    def garble(self) -> None:
        self._mmg.script(self._to, web.Answer(status=200, body={"sense": None}))

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
