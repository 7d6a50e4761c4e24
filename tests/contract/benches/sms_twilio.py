"""The bench of `sms_twilio`."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from channels.base import Channel, HookRequest, Medium
from channels.sms_twilio import SmsTwilio
from tests.contract.bench import BASE_URL, OUR_NUMBER, SHORT, Arrived, Bench, World
from tests.contract.web_world import WebWorld
from tests.fakes import twilio


class TwilioWorld(WebWorld):
    def __init__(self, channel: Channel, provider: twilio.FakeTwilio, to: str) -> None:
        super().__init__(channel, provider, to)
        self._twilio = provider

    def arrived(self) -> list[Arrived]:
        return [Arrived(to=text.to, text=text.body) for text in self._twilio.accepted]

    def throttle(self, seconds: int) -> None:
        self.next(twilio.throttled(seconds))

    def refuse_address(self) -> None:
        self.next(twilio.error(21211))

    def refuse_opted_out(self) -> None:
        self.next(twilio.error(21610))

    def write_to_us(self, text: str) -> None:
        self._twilio.keep_incoming(sender=self._to, to=OUR_NUMBER, body=text)

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


BENCH = Bench(
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
)
