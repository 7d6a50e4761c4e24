"""The accounts a team's posts appear on, and which channel posts on each. Asked by the plan, the reach and the preview."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select

from channels.base import Medium
from channels.registry import find, installed
from notifier.db import Tx
from notifier.models import TeamContactPoint, TeamUse
from subscribers.models import ContactPoint


def network_of(channel: str) -> str:
    """The network a channel posts on, in words; nothing where it names none, as the outbox does not. Pure."""
    return str(getattr(find(channel), "network", "")) if channel in installed() else ""


class PostsOn(NamedTuple):
    """An account of a team, and the open channel that posts there."""

    contact_point: UUID
    channel: str


async def accounts_of(tx: Tx, team: UUID) -> Sequence[PostsOn]:
    """The accounts a team can post on now: those whose channel is open here. One that names none takes the first."""
    rows = await tx.execute(
        select(TeamContactPoint.contact_point_id, TeamContactPoint.channel)
        .join(ContactPoint, ContactPoint.id == TeamContactPoint.contact_point_id)
        .where(
            TeamContactPoint.team_id == team,
            TeamContactPoint.use == TeamUse.POST,
            ContactPoint.medium == Medium.SOCIAL,
        )
        .order_by(TeamContactPoint.contact_point_id)
    )
    first = tx.carriers.get(Medium.SOCIAL, "")
    named = [PostsOn(row.contact_point_id, row.channel or first) for row in rows]
    is_open = {carrier.channel for carrier in tx.carriers.all_of(Medium.SOCIAL)}
    return [each for each in named if each.channel in is_open]
