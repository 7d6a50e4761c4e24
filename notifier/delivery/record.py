"""What every step that ends deliveries writes beside their state: events, and the fate of those in a digest."""

from collections.abc import Iterable, Sequence

from sqlalchemy import insert, select, update

from notifier.db import Tx
from notifier.models import Delivery, DeliveryEvent, Notice, NoticeKind


async def note_events(tx: Tx, deliveries: Iterable[int], kind: str, detail: str) -> None:
    """One event of the same kind for each delivery."""
    rows = [
        {"delivery_id": id_, "at": tx.now, "kind": str(kind), "detail": detail[:200]} for id_ in deliveries
    ]
    if rows:
        await tx.execute(insert(DeliveryEvent), rows)


async def follow_digests(tx: Tx, deliveries: Sequence[int]) -> None:
    """Deliveries that wait in a digest share the fate of the digest's own delivery."""
    if not deliveries:
        return
    digest = Delivery.__table__.alias("digest")
    notices = select(digest.c.notice_id).join(Notice, Notice.id == digest.c.notice_id)
    notices = notices.where(digest.c.id.in_(deliveries), Notice.kind == NoticeKind.DIGEST)
    waiting = (await tx.execute(notices)).scalars().all()
    if not waiting:
        return
    fate = select(digest.c.state).where(digest.c.notice_id == Delivery.digest_notice_id).scalar_subquery()
    await tx.execute(
        update(Delivery)
        .where(Delivery.digest_notice_id.in_(waiting))
        .values(state=fate, reason="in the digest")
        .execution_options(synchronize_session=False)
    )
