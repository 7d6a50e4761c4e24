"""Proves the ledger when its hour comes, and lets go of alarms that are over: beside sending, in one process of all."""

from datetime import time
from functools import partial

import structlog

from channels.base import Idempotency
from notifier.delivery import nightly, receipts
from notifier.runtime import Service

log = structlog.get_logger()

PROVE_SECONDS, LEAST_PROVE_SECONDS = 60.0, 2.0


class Proving:
    """Of one worker."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def look(self) -> None:
        """Prove what is due. One that is cut short is found again within the hour."""
        service, settings = self._service, self._service.settings
        await service.db.attempt(receipts.ease_orphan_alarms)
        refuse = [
            name
            for name, channel in service.channels.items()
            if channel.capabilities.idempotency is not Idempotency.NONE
        ]
        proved = await nightly.run_if_due(
            partial(service.db.transaction, read_only=True),
            service.db.transaction,
            at=time.fromisoformat(settings.proof_at),
            zone=settings.zone,
            refuse_repeats=refuse,
            factor=settings.time_factor,
        )
        if proved is not None:
            say = log.error if proved.found else log.info
            say("ledger_proved", deliveries=proved.deliveries, messages=proved.messages, wrong=proved.found)
