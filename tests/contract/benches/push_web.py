"""The bench of `push_web`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from channels import vapid
from channels.base import Channel, Medium
from channels.push_web import PushWeb
from tests.contract.bench import SHORT, Arrived, Bench, Case, World
from tests.contract.web_world import WebWorld
from tests.fakes import push, web

KEY = vapid.make_key()
DEVICE = push.Device(
    endpoint=f"{push.ORIGIN}/wpush/v2/abc",
    key=ec.derive_private_key(4242, ec.SECP256R1()),
    auth=b"sixteen octets..",
    server_key=vapid.public_key(vapid.read_key(KEY)),
)


class PushWorld(WebWorld):
    def __init__(self, channel: Channel, provider: push.FakePush, device: push.Device) -> None:
        super().__init__(channel, provider, device.address, key="")
        self._device = device

    def arrived(self) -> list[Arrived]:
        return [Arrived(to=self._device.address, text=words["body"]) for words in self._device.tray.values()]

    def throttle(self, seconds: int) -> None:
        self.next(push.throttled(seconds))

    def garble(self) -> None:
        self.next(web.Trouble.FAIL_AS_HTML)

    def answer(self, status: int, body: object) -> None:
        """What it took it says by its status alone (RFC 8030, section 5): no body of a 2xx is odd."""
        super().answer(503 if status < 300 else status, body)

    def mumble(self) -> None:
        self.fail()

    def refuse_address(self) -> None:
        self.next(push.GONE)


@asynccontextmanager
async def push_world(to: str, folder: Path) -> AsyncIterator[World]:
    device = push.Device(
        endpoint=DEVICE.endpoint, key=DEVICE.key, auth=DEVICE.auth, server_key=DEVICE.server_key
    )
    async with push.FakePush() as provider:
        provider.add(device)
        channel = PushWeb(
            vapid.read_key(KEY), "mailto:push@police.example", url=provider.url, timeout_seconds=SHORT
        )
        async with channel:
            yield PushWorld(channel, provider, device)


BENCH = Bench(
    name="push_web",
    medium=Medium.PUSH,
    to=DEVICE.address,
    odd_spelling=f" {DEVICE.endpoint.replace('updates', 'UPDATES').replace('.com/', '.com:443/')}"
    f"#auth={DEVICE.keys['auth']}==&p256dh={DEVICE.keys['p256dh']}= ",
    env={"NOTIFIER_PUSH_VAPID_KEY": KEY, "NOTIFIER_PUSH_CONTACT": "mailto:push@police.example"},
    required=("NOTIFIER_PUSH_VAPID_KEY", "NOTIFIER_PUSH_CONTACT"),
    impossible={
        Case.OPTED_OUT: "a subscription that its reader ended is gone, like one whose browser is",
        Case.HOOKS: "push services do not call us",
        Case.LOOK_UP: "they cannot be asked, and a second try replaces the first",
    },
    world=push_world,
)
