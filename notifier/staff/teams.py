"""Rows of teams: the areas they cover, the addresses and numbers they write from. Called by import and demo."""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from sqlalchemy import delete, insert, or_, select, update

from notifier.db import Tx
from notifier.errors import Conflict
from notifier.models import Team, TeamArea, TeamContactPoint, TeamKind, TeamUse
from subscribers import contact_points
from subscribers.dialects import insert_for
from subscribers.models import Area, AreaKind, ContactPoint, ContactPointState, new_id

USES = {"email": TeamUse.REPLY, "sms": TeamUse.SENDER, "social": TeamUse.POST}


@dataclass(frozen=True, kw_only=True)
class TeamPlan:
    """What a team is to be. addresses: (medium, address in its normal spelling)."""

    name: str
    area_codes: tuple[str, ...]
    addresses: tuple[tuple[str, str], ...] = ()


class Saved(StrEnum):
    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


def slug_of(name: str) -> str:
    """`Castle & Dock team` → `castle-dock-team`: the team's name in addresses of pages."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60]


async def save(tx: Tx, plan: TeamPlan) -> tuple[UUID, Saved]:
    """Make the team so, found by its slug. Safe to run twice: the second time changes nothing.

    Areas no longer named are ended, not deleted. Raises Conflict where an address is a resident's.
    """
    slug = slug_of(plan.name)
    team: UUID | None = await tx.scalar(select(Team.id).where(Team.slug == slug))
    is_new = team is None
    kind = await _kind(tx, plan.area_codes)
    if team is None:
        team = new_id()
        await tx.execute(insert(Team).values(id=team, slug=slug, name=plan.name, kind=kind))
    changed = await _rename(tx, team, plan.name, kind)
    changed |= await _cover(tx, team, plan.area_codes)
    changed |= await _link(tx, team, plan.addresses)
    return team, Saved.NEW if is_new else Saved.CHANGED if changed else Saved.UNCHANGED


async def find(tx: Tx, name: str) -> UUID | None:
    """A team by its slug or its name."""
    is_it = or_(Team.slug == slug_of(name), Team.name == name)
    found: UUID | None = await tx.scalar(select(Team.id).where(is_it).order_by(Team.id).limit(1))
    return found


async def add_address(tx: Tx, team: UUID, medium: str, address: str, *, channel: str | None = None) -> UUID:
    """Give a team one more address, number or account: active, and nobody's. Raises Conflict if a resident's.

    channel: the one that posts on an account, where it is not the first that carries posts. Given again, it changes.
    """
    contact = await contact_points.ensure(tx, medium, address)
    if contact.subscriber is not None:
        raise Conflict(f"A resident is subscribed with the {medium} address given for a team.")
    await tx.execute(
        update(ContactPoint)
        .where(ContactPoint.id == contact.id)
        .values(state=ContactPointState.ACTIVE, verified_at=tx.now, stopped_at=None)
    )
    values = {"team_id": team, "contact_point_id": contact.id, "use": USES[medium], "channel": channel}
    await tx.execute(
        insert_for(tx, TeamContactPoint)
        .on_conflict_do_update(index_elements=["team_id", "contact_point_id"], set_={"channel": channel})
        .values(values)
    )
    return contact.id


async def take_account(tx: Tx, team: UUID, account: str) -> bool:
    """Post no more on a team's account; whether it had it. What was posted stays."""
    contact = await contact_points.find(tx, "social", account)
    if contact is None:
        return False
    done = await tx.execute(
        delete(TeamContactPoint).where(
            TeamContactPoint.team_id == team, TeamContactPoint.contact_point_id == contact.id
        )
    )
    return done.rowcount > 0


async def _kind(tx: Tx, codes: Collection[str]) -> TeamKind:
    """Without areas: central. With nothing smaller than boroughs: borough."""
    if not codes:
        return TeamKind.CENTRAL
    kinds = set((await tx.execute(select(Area.kind).where(Area.code.in_(list(codes))))).scalars())
    return TeamKind.BOROUGH if kinds <= {AreaKind.BOROUGH, AreaKind.FORCE} else TeamKind.SNT


async def _rename(tx: Tx, team: UUID, name: str, kind: TeamKind) -> bool:
    differs = or_(Team.name != name, Team.kind != kind)
    done = await tx.execute(update(Team).where(Team.id == team, differs).values(name=name, kind=kind))
    return done.rowcount > 0


async def _cover(tx: Tx, team: UUID, codes: Collection[str]) -> bool:
    """End the areas no longer covered and begin the new ones."""
    current = select(TeamArea.area_code).where(TeamArea.team_id == team, TeamArea.until.is_(None))
    held = set((await tx.execute(current)).scalars())
    ended, begun = held - set(codes), [code for code in dict.fromkeys(codes) if code not in held]
    await tx.execute(
        update(TeamArea)
        .where(TeamArea.team_id == team, TeamArea.area_code.in_(ended), TeamArea.until.is_(None))
        .values(until=tx.now)
    )
    rows = [{"team_id": team, "area_code": code, "since": tx.now} for code in begun]
    if rows:
        await tx.execute(insert(TeamArea), rows)
    return bool(ended or begun)


async def _link(tx: Tx, team: UUID, addresses: Collection[tuple[str, str]]) -> bool:
    """Reply addresses and numbers become exactly these; social accounts are left as they are."""
    linked = select(TeamContactPoint.contact_point_id).where(
        TeamContactPoint.team_id == team, TeamContactPoint.use != TeamUse.POST
    )
    held = set((await tx.execute(linked)).scalars())
    wanted = {await add_address(tx, team, medium, address) for medium, address in addresses}
    await tx.execute(
        delete(TeamContactPoint).where(
            TeamContactPoint.team_id == team, TeamContactPoint.contact_point_id.in_(held - wanted)
        )
    )
    return held != wanted
