"""What every step that ends deliveries writes beside their state: events, and the fate of those in a digest."""

from collections.abc import Iterable, Sequence

from sqlalchemy import String, insert, literal, select, update

from notifier.db import Tx
from notifier.models import Delivery, DeliveryEvent, Notice, NoticeKind
from subscribers.models import UTCDateTime

IN_DIGEST = "in the digest"


async def note_events(
    tx: Tx, deliveries: Iterable[int], kind: str, detail: str, *, state: str = "", number: int | None = None
) -> None:
    """One event of the same kind for each delivery.

    state: what the deliveries became by it; empty where they stayed. number: the claim it concerns; where
    none is given, each delivery's latest.
    """
    ids = list(deliveries)
    if not ids:
        return
    await tx.execute(
        insert(DeliveryEvent).from_select(
            ["delivery_id", "at", "kind", "detail", "state", "number"],
            select(
                Delivery.id,
                literal(tx.now, UTCDateTime()),
                literal(str(kind)),
                literal(detail[:200]),
                literal(str(state) or None, String),
                Delivery.fence if number is None else literal(number),
            )
            .where(Delivery.id.in_(ids))
            .order_by(Delivery.id),
        )
    )


async def follow_digests(tx: Tx, deliveries: Sequence[int]) -> None:
    """Deliveries that wait in a digest share the fate of the digest's own delivery, an event beside each."""
    if not deliveries:
        return
    digest = Delivery.__table__.alias("digest")
    fates = (
        await tx.execute(
            select(digest.c.notice_id, digest.c.state)
            .join(Notice, Notice.id == digest.c.notice_id)
            .where(digest.c.id.in_(deliveries), Notice.kind == NoticeKind.DIGEST)
        )
    ).all()
    for fate in fates:
        notice, state = fate.notice_id, fate.state
        changed = await tx.execute(
            update(Delivery)
            .where(Delivery.digest_notice_id == notice, Delivery.state != state)
            .values(state=state, reason=IN_DIGEST)
            .returning(Delivery.id)
        )
        await note_events(tx, changed.scalars().all(), "digest", IN_DIGEST, state=state)
