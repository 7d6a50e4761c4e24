"""Says that this worker lives, and prolongs the leases of what it holds ahead: on a connection of its own.

A worker whose beats fail three times running may have lost its leases to others: it claims nothing and forgets
what is only leased, until the database has heard it again.
"""

from collections.abc import Sequence
from importlib.metadata import version

import structlog
from sqlalchemy import delete

from notifier.db import Database, Tx
from notifier.delivery.claim import renew
from notifier.models import WorkerRow
from notifier.worker.pipeline import Pipeline
from subscribers.dialects import insert_for

log = structlog.get_logger()

BEAT_SECONDS, LEAST_BEAT_SECONDS = 5.0, 0.05
MOST_MISSED = 3


class Heartbeat:
    """Of one worker."""

    def __init__(self, db: Database, owner: str, pipelines: Sequence[Pipeline], *, factor: float) -> None:
        self._db, self._owner, self._pipelines, self._factor = db, owner, pipelines, factor
        self._version = version("notifier")[:20]
        self._missed = 0

    async def beat(self) -> None:
        """One beat. A fault is counted, not raised."""
        try:
            await self._db.attempt(self._beat)
        except Exception as error:
            self._missed += 1
            log.warning("heartbeat_missed", times=self._missed, error=type(error).__name__)
            if self._missed >= MOST_MISSED:
                for pipeline in self._pipelines:
                    pipeline.cut_off = True
                    pipeline.abandon()
            return
        self._missed = 0
        for pipeline in self._pipelines:
            pipeline.cut_off = False

    async def leave(self, tx: Tx) -> None:
        """At an orderly end the row goes."""
        await tx.execute(delete(WorkerRow).where(WorkerRow.owner == self._owner))

    async def _beat(self, tx: Tx) -> None:
        lanes = " ".join(pipeline.lane.name.lower() for pipeline in self._pipelines)
        row = {"owner": self._owner, "lanes": lanes, "version": self._version, "started_at": tx.now}
        await tx.execute(
            insert_for(tx, WorkerRow)
            .values(**row, seen_at=tx.now)
            .on_conflict_do_update(index_elements=["owner"], set_={"seen_at": tx.now})
        )
        for pipeline in self._pipelines:
            await renew(tx, self._owner, pipeline.lane, pipeline.holding, factor=self._factor)
