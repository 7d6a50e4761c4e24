"""Plans a notice: what the service itself says to one contact point, as a delivery like any other.

There is no second way out of the house: confirmations, codes, receipts, answers and digests all
stand in the ledger. Safe to run twice where a `dedupe_key` is given.
"""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select

from channels.base import Medium
from notifier.db import Tx
from notifier.delivery.numbers import channel_of
from notifier.delivery.wording import VARIABLES
from notifier.errors import Unavailable
from notifier.models import Delivery, DeliveryState, Lane, Notice, NoticeKind
from subscribers.dialects import insert_for
from subscribers.models import ContactPoint, new_id

GOOD_FOR = timedelta(hours=24)


async def notice(
    tx: Tx,
    contact_point: UUID,
    *,
    kind: NoticeKind,
    template: str,
    variables: Mapping[str, Any],
    language: str = "en",
    team: UUID | None = None,
    entry: UUID | None = None,
    dedupe_key: str | None = None,
) -> UUID | None:
    """Plan one notice; its id, or None where one with the same dedupe_key stands already.

    An answer to a text goes by the channel that has the number they wrote to.
    template: a folder of `templates/messages`. variables: what that template needs, JSON values only.
    Raises Unavailable where no channel carries the contact point's medium.
    """
    medium = await tx.scalar(select(ContactPoint.medium).where(ContactPoint.id == contact_point))
    if medium not in tx.carriers:
        raise Unavailable(f"No channel carries {medium} here.")
    answered = str(variables.get("from_number") or "") if medium == Medium.SMS else ""
    channel = await channel_of(tx, answered) or tx.carriers.channel_for(medium, contact_point)
    made = new_id()
    values = {
        "id": made,
        "contact_point_id": contact_point,
        "team_id": team,
        "kind": kind,
        "template": template,
        "language": language,
        "variables_sealed": tx.keys.seal(VARIABLES, made, json.dumps(dict(variables))),
        "entry_id": entry,
        "dedupe_key": dedupe_key,
        "created_at": tx.now,
    }
    stored = await tx.execute(
        insert_for(tx, Notice).on_conflict_do_nothing(index_elements=["dedupe_key"]).values(values)
    )
    if stored.rowcount == 0:
        return None
    lane = Lane.BULLETIN if kind is NoticeKind.DIGEST else Lane.TRANSACTIONAL
    await tx.execute(
        insert(Delivery).values(
            notice_id=made,
            contact_point_id=contact_point,
            channel=channel,
            language=language,
            lane=lane,
            state=DeliveryState.PENDING,
            due_at=tx.now,
            expires_at=tx.now + GOOD_FOR,
        )
    )
    tx.on_commit("wake", lane=lane.name.lower())
    return made
