"""What the tests about several channels of one medium share: two that carry texts, and a worker that has both."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from channels.base import Capabilities, Idempotency, Medium, Sender
from channels.memory import Memory
from channels.registry import Channels
from channels.senders import of as of_addresses
from notifier import config
from notifier.carriers import Carrier, Carriers
from notifier.db import Database
from notifier.models import Delivery
from notifier.runtime import Service
from notifier.worker import Worker

OF_A = ("+447700900801", "+447700900802", "+447700900803")
OF_B = ("+447700900811", "+447700900812")


class OfTexts(Memory):
    """Carries texts alone, from numbers of its own."""

    capabilities = Capabilities(
        media=frozenset([Medium.SMS]),
        replies=True,
        receipts=True,
        html=False,
        max_text=None,
        idempotency=Idempotency.NONE,
        slot_rows=5,
    )

    def __init__(self, *numbers: str) -> None:
        super().__init__()
        self.senders: tuple[Sender, ...] = of_addresses(*numbers)


class TextsA(OfTexts):
    name = "sms_a"

    def __init__(self, *numbers: str) -> None:
        super().__init__(*(numbers or OF_A))


class TextsB(OfTexts):
    name = "sms_b"

    def __init__(self, *numbers: str) -> None:
        super().__init__(*(numbers or OF_B))


def share(db: Database, *channels: OfTexts, weights: Mapping[str, int] | None = None) -> None:
    """From now on these carry the texts, by their weights; without: all by the first."""
    shares = weights or {channels[0].name: 1}
    texts = [
        Carrier(channel=each.name, weight=shares.get(each.name, 0), senders=each.senders) for each in channels
    ]
    mail = [Carrier(channel="memory", weight=1)]
    db.carriers = Carriers({"email": mail, "social": mail, "sms": texts})


def worker_of(db: Database, *channels: Memory, **settings: str) -> Worker:
    """A worker with these channels open, its waits shortened."""
    environment = config.build(
        {
            "NOTIFIER_CHANNELS": "memory",
            "NOTIFIER_TIME_FACTOR": "0.0001",
            "NOTIFIER_FAILOVER_AFTER": "0",
            **settings,
        }
    )
    service = Service(environment=environment, db=db, channels=Channels(channels))
    return Worker(service, db.jobs)


async def column(db: Database, of: Any, *where: Any) -> Sequence[Any]:
    """A column of deliveries, in the order of their ids."""
    async with db.transaction(read_only=True) as tx:
        return (await tx.execute(select(of).where(*where).order_by(Delivery.id))).scalars().all()
