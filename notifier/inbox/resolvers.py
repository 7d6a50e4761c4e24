"""The rule by which a message finds its team, one small function for each line of it, in order.

Each is given what is known and says which team, how sure it is and why, or None. `runtime` hands
DEFAULT_RESOLVERS to `route`; the consultation package puts its own after `leased_number`.
"""

import re
from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, or_, select

from channels.base import Medium
from notifier.db import Tx
from notifier.delivery.numbers import numbers_leased, teams_leasing
from notifier.inbox.places import Covered, covered
from notifier.inbox.places import central_triage as central_team
from notifier.inbox.questions import GOOD_FOR, open_question, was_told
from notifier.inbox.route import Facts, Hit, Resolver
from notifier.inbox.thread import How
from notifier.inbox.triage import plain_words
from notifier.models import (
    Conversation,
    ConversationEntry,
    ConversationState,
    Delivery,
    DeliveryState,
    Direction,
    Message,
    Notice,
    NoticeKind,
    Team,
    TeamContactPoint,
    TeamKind,
    TeamUse,
)
from subscribers.contact_points import ADDRESS
from subscribers.models import Area, AreaKind, ContactPoint, Postcode

LATELY = timedelta(hours=72)
LEFT_THE_HOUSE = (
    DeliveryState.ACCEPTED,
    DeliveryState.DELIVERED,
    DeliveryState.IN_DOUBT,
    DeliveryState.UNKNOWN,
)
# Full postcodes as people write them in a sentence.
_POSTCODE = re.compile(r"(?<![A-Z0-9])([A-Z]{1,2}[0-9][A-Z0-9]?)[ .\-]{0,3}([0-9][A-Z]{2})(?![A-Z0-9])")
MAX_POSTCODES, MAX_TEXT = 5, 20_000


async def reply_token(tx: Tx, facts: Facts) -> Hit | None:
    """It answers a delivery of ours, by a name only that delivery bore."""
    thread = facts.thread
    if thread is None or thread.team is None:
        return None
    if thread.how is How.POST:
        return Hit(team=thread.team, confidence=0.95, reason="It stands under a post of this team")
    told = "answers a message of this team" if thread.message else "answers this team"
    if thread.verified:
        return Hit(team=thread.team, confidence=1.0, reason=f"It {told}, from the address we wrote to")
    return Hit(team=thread.team, confidence=0.6, reason=f"It {told}, but comes from another address")


async def answered_question(tx: Tx, facts: Facts) -> Hit | None:
    """It is the number of a ward we asked them to choose."""
    question = await open_question(tx, facts.sender.contact_point) if facts.choice is not None else None
    chosen = next((c for c in question.choices if c.number == facts.choice), None) if question else None
    wards = await covered(tx, [chosen.code]) if chosen else []
    if not wards:
        return None
    reason = f"They answered {facts.choice} for {wards[0].name} when we asked which area"
    return Hit(team=wards[0].team, confidence=0.95, reason=reason)


async def leased_to_them(tx: Tx, facts: Facts) -> Hit | None:
    """It was sent to the number from which one team's texts come to this very person."""
    if facts.sender.medium is not Medium.SMS or not facts.recipients:
        return None
    teams = await teams_leasing(tx, facts.sender.contact_point, facts.recipients)
    if len(teams) != 1:
        return None
    return Hit(
        team=teams.pop(), confidence=1.0, reason="They wrote to the number this team's texts reach them from"
    )


async def leased_number(tx: Tx, facts: Facts) -> Hit | None:
    """It was sent to a number, address or account that belongs to one team alone."""
    medium = facts.sender.medium
    hashes = [tx.keys.address_hash(medium, each) for each in facts.recipients]
    if not hashes:
        return None
    rows = await tx.execute(
        select(TeamContactPoint.team_id)
        .join(ContactPoint, ContactPoint.id == TeamContactPoint.contact_point_id)
        .where(
            ContactPoint.medium == medium,
            ContactPoint.address_hash.in_(hashes),
            TeamContactPoint.use.in_([TeamUse.SENDER, TeamUse.REPLY, TeamUse.POST]),
        )
        .distinct()
    )
    teams = rows.scalars().all()
    if len(teams) != 1:
        return None
    what = {Medium.SMS: "number", Medium.SOCIAL: "social account"}.get(medium, "address")
    return Hit(team=teams[0], confidence=0.95, reason=f"It was sent to a {what} of this team alone")


async def ward_word(tx: Tx, facts: Facts) -> Hit | None:
    """It begins with the name of an area, or names one of the sender's own."""
    words = plain_words(facts.text[:MAX_TEXT])
    if not words:
        return None
    own = await covered(tx, facts.sender.areas.keys())
    first = _begins_with(words, own)
    if first is None and (not own or _is_label(facts.text)):
        first = _begins_with(words, await _wards_that_begin(tx, words[0]))
    if first is not None:
        return Hit(team=first.team, confidence=0.9, reason=f"It begins with {first.name}")
    named = [area for area in own if _stands_in(plain_words(area.name), words)]
    if len({area.team for area in named}) != 1:
        return None
    return Hit(team=named[0].team, confidence=0.8, reason=f"It names {named[0].name}, an area of theirs")


async def open_conversation(tx: Tx, facts: Facts) -> Hit | None:
    """The sender has an open conversation with one team. What waits untouched in central triage is none."""
    answered = (
        select(ConversationEntry.id)
        .where(
            ConversationEntry.conversation_id == Conversation.id,
            ConversationEntry.direction == Direction.OUT,
        )
        .exists()
    )
    rows = await tx.execute(
        select(Conversation.team_id, Conversation.reference)
        .join(Team, Team.id == Conversation.team_id)
        .where(
            Conversation.contact_point_id == facts.sender.contact_point,
            Conversation.state != ConversationState.RESOLVED,
            or_(Team.kind != TeamKind.CENTRAL, answered),
        )
    )
    found = rows.all()
    if len(found) != 1:
        return None
    reason = f"Their only open conversation is {found[0].reference} with this team"
    return Hit(team=found[0].team_id, confidence=0.8, reason=reason)


async def last_outbound(tx: Tx, facts: Facts) -> Hit | None:
    """The last team that wrote to them within 72 hours, from the number they answered."""
    team = func.coalesce(Message.team_id, Notice.team_id)
    rows = await tx.execute(
        select(team.label("team_id"))
        .select_from(Delivery)
        .outerjoin(Message, Message.id == Delivery.message_id)
        .outerjoin(Notice, Notice.id == Delivery.notice_id)
        .where(
            Delivery.contact_point_id == facts.sender.contact_point,
            Delivery.state.in_(LEFT_THE_HOUSE),
            Delivery.due_at > tx.now - LATELY,
            team.is_not(None),
        )
        .order_by(Delivery.due_at.desc(), Delivery.id.desc())
        .limit(20)
    )
    teams = [team_id for team_id in rows.scalars() if await _writes_from(tx, team_id, facts)]
    if not teams:
        return None
    confidence = 0.7 if len(set(teams)) == 1 else 0.5
    return Hit(
        team=teams[0],
        confidence=confidence,
        reason="This team was the last to write to them, within 72 hours",
    )


async def single_ward(tx: Tx, facts: Facts) -> Hit | None:
    """All they subscribe to is covered by one team."""
    areas = await covered(tx, facts.sender.areas.keys())
    if len({area.team for area in areas}) != 1:
        return None
    named = areas[0].name if len(areas) == 1 else "areas of this team"
    return Hit(team=areas[0].team, confidence=0.8, reason=f"They subscribe to {named} alone")


async def place_in_text(tx: Tx, facts: Facts) -> Hit | None:
    """A postcode in the text lies in one ward of ours."""
    found = dict.fromkeys(f"{a} {b}" for a, b in _POSTCODE.findall(facts.text[:MAX_TEXT].upper()))
    if not found:
        return None
    rows = await tx.execute(
        select(Postcode.ward_code).where(
            Postcode.postcode.in_(list(found)[:MAX_POSTCODES]), Postcode.ward_code.is_not(None)
        )
    )
    wards = await covered(tx, set(rows.scalars()))
    if len({ward.team for ward in wards}) != 1:
        return None
    return Hit(team=wards[0].team, confidence=0.75, reason=f"A postcode in it lies in {wards[0].name}")


async def home_ward(tx: Tx, facts: Facts) -> Hit | None:
    """The ward they gave as their home."""
    wards = await covered(tx, [facts.sender.home_area]) if facts.sender.home_area else []
    if not wards:
        return None
    return Hit(team=wards[0].team, confidence=0.5, reason=f"Their home is in {wards[0].name}")


async def ask(tx: Tx, facts: Facts) -> Hit | None:
    """Several wards of several teams: ask which, and hold it in central triage until they answer."""
    sender = facts.sender
    areas = await covered(tx, sender.areas.keys())
    if len({area.team for area in areas}) < 2 or not sender.can_reply:
        return None
    central = await central_team(tx)
    if await was_told(tx, sender.contact_point, [NoticeKind.QUESTION], GOOD_FOR):
        return Hit(team=central, confidence=0.1, reason="They have not yet said which area they mean")
    return Hit(
        team=central,
        confidence=0.1,
        reason="They subscribe to areas of several teams, so we asked which",
        asks=tuple(areas),
    )


async def central_triage(tx: Tx, facts: Facts) -> Hit | None:
    """Nothing says where it belongs: people decide."""
    known = facts.sender.subscriber is not None
    reason = "Nothing says which team it is for" if known else "The sender is not known"
    return Hit(team=await central_team(tx), confidence=0.0, reason=reason)


DEFAULT_RESOLVERS: tuple[Resolver, ...] = (
    reply_token,
    answered_question,
    leased_to_them,
    leased_number,
    ward_word,
    open_conversation,
    last_outbound,
    single_ward,
    place_in_text,
    home_ward,
    ask,
    central_triage,
)


# --- Helpers ----------------------------------------------------------------------------------


async def _wards_that_begin(tx: Tx, word: str) -> list[Covered]:
    """Served wards whose name begins with a word; few, so that names are compared word by word."""
    rows = await tx.execute(
        select(Area.code).where(
            Area.kind == AreaKind.WARD,
            Area.served.is_(True),
            Area.valid_to.is_(None),
            func.lower(Area.name).startswith(word, autoescape=True),
        )
    )
    return await covered(tx, rows.scalars().all())


def _begins_with(words: list[str], areas: Collection[Covered]) -> Covered | None:
    """The area whose whole name the words begin with; of several the longest name."""
    fits = [area for area in areas if words[: len(name := plain_words(area.name))] == name and name]
    return max(fits, key=lambda area: len(area.name)) if fits else None


def _is_label(text: str) -> bool:
    """Is the first word set apart, as in "ABBEY lights out" or "Abbey: lights out"?"""
    first = text.split(maxsplit=1)[0]
    return (len(first) > 2 and first.isupper() and text != text.upper()) or first.endswith((":", ",", "-"))


def _stands_in(name: list[str], words: list[str]) -> bool:
    return bool(name) and any(words[at : at + len(name)] == name for at in range(len(words) - len(name) + 1))


async def _writes_from(tx: Tx, team: UUID, facts: Facts) -> bool:
    """Could what they answered have come from that team? Only texts have a number to compare."""
    if facts.sender.medium is not Medium.SMS or not facts.recipients:
        return True
    if leased := await numbers_leased(tx, facts.sender.contact_point, team):
        return bool(leased.intersection(facts.recipients))
    rows = await tx.execute(
        select(ContactPoint.id, ContactPoint.address_sealed)
        .join(TeamContactPoint, TeamContactPoint.contact_point_id == ContactPoint.id)
        .where(
            TeamContactPoint.team_id == team,
            TeamContactPoint.use == TeamUse.SENDER,
            ContactPoint.medium == Medium.SMS,
        )
    )
    numbers = {tx.keys.open_text(ADDRESS, row.id, row.address_sealed) for row in rows}
    return not numbers or bool(numbers.intersection(facts.recipients))
