"""What narrows a message's audience beside areas and topics: homes, distance, languages, a sample, who is left out.

Checked and kept by `draft`, read back as `Criteria` for the count and the plan. Words that cannot be stored as they
are (a postcode to measure from) become what they stand for when the draft is saved.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, or_, select

from notifier.broadcast.kinds import wanted_by
from notifier.db import Tx
from notifier.errors import Invalid
from notifier.models import Delivery, DeliveryState, Kind, Message, MessageState
from subscribers import postcodes
from subscribers.audience import Circle, Criteria, is_everywhere, with_descendants
from subscribers.models import Area, ContactPoint, Postcode, Topic
from subscribers.postcodes import Whole
from subscribers.reach import Reach, count, draw
from subscribers.samples import Sample
from templates.languages import NAMES

LONGEST_METRES = 50_000
MOST_POSTCODES = 1_000
SEEDS = 2**31
KEPT = ("languages", "postcodes", "near", "sample", "without")
ENDED = (MessageState.DONE, MessageState.CANCELLED)
# Every state in which the words are there, or may be. What came back, failed or never began did not arrive.
GOT = (
    DeliveryState.STARTED,
    DeliveryState.IN_DOUBT,
    DeliveryState.ACCEPTED,
    DeliveryState.DELIVERED,
    DeliveryState.COMPLAINED,
    DeliveryState.UNKNOWN,
)


@dataclass(frozen=True, kw_only=True)
class Near:
    """So many metres from a postcode, or from a point of the National Grid."""

    metres: int
    postcode: str = ""
    easting: int | None = None
    northing: int | None = None


@dataclass(frozen=True, kw_only=True)
class Draw:
    """So many people by chance. seed: to draw the same again; none: one is made, and kept."""

    size: int
    seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class Narrow:
    """All that narrows; empty asks nothing. without_*: nobody who follows one of these, or who got that message."""

    languages: tuple[str, ...] = ()
    postcodes: tuple[str, ...] = ()
    near: Near | None = None
    sample: Draw | None = None
    without_areas: tuple[str, ...] = ()
    without_topics: tuple[str, ...] = ()
    without_messages: tuple[UUID, ...] = field(default=())


def check(narrow: Narrow) -> dict[str, str]:
    """field → why it cannot be. Pure; what only rows tell, `store` finds."""
    faults: dict[str, str] = {}
    if unknown := [language for language in narrow.languages if language not in NAMES]:
        faults["languages"] = f"We do not send in “{unknown[0][:20]}”."
    if len(narrow.postcodes) > MOST_POSTCODES:
        faults["postcodes"] = f"Name at most {MOST_POSTCODES:,} postcodes; choose an area for more."
    if wrong := [typed for typed in narrow.postcodes if _canonical(typed) is None]:
        faults.setdefault("postcodes", f"“{wrong[0][:20]}” is not a full postcode.")
    if narrow.near and (sentence := _fault_of(narrow.near)):
        faults["near"] = sentence
    if narrow.sample and narrow.sample.size < 1:
        faults["sample"] = "A sample has at least one person."
    if narrow.sample and narrow.sample.seed is not None and not 0 <= narrow.sample.seed < SEEDS:
        faults.setdefault("sample", f"A sample's seed is a number from 0 to {SEEDS - 1:,}.")
    return faults


async def store(tx: Tx, narrow: Narrow, *, areas: Sequence[str]) -> dict[str, Any]:
    """As JSON for `messages.criteria`: only what is asked. areas: the message's. Raises Invalid."""
    await _require_known(tx, narrow)
    kept: dict[str, Any] = {}
    if narrow.languages:
        kept["languages"] = sorted(set(narrow.languages))
    if narrow.postcodes:
        kept["postcodes"] = await _known_postcodes(tx, narrow.postcodes)
    if narrow.near:
        kept["near"] = await _point(tx, narrow.near)
    if narrow.sample:
        seed = secrets.randbelow(SEEDS) if narrow.sample.seed is None else narrow.sample.seed
        kept["sample"] = {"size": narrow.sample.size, "seed": seed}
    if narrow.without_areas and not set(await _inside(tx, areas)) - set(
        await _inside(tx, narrow.without_areas)
    ):
        raise Invalid({"without_areas": "That leaves no area to write to."})
    without = {
        "areas": sorted(set(narrow.without_areas)),
        "topics": sorted(set(narrow.without_topics)),
        "messages": sorted(str(each) for each in set(narrow.without_messages)),
    }
    if any(without.values()):
        kept["without"] = {name: values for name, values in without.items() if values}
    return kept


def read(stored: Mapping[str, Any]) -> Narrow | None:
    """What `store` kept, as it was asked; None where nothing was. Pure."""
    if not part_of(stored):
        return None
    near, sample, without = stored.get("near"), stored.get("sample"), stored.get("without", {})
    asked = ("metres", "postcode") if near and "postcode" in near else ("metres", "easting", "northing")
    return Narrow(
        languages=tuple(stored.get("languages", ())),
        postcodes=tuple(stored.get("postcodes", ())),
        near=Near(**{name: near[name] for name in asked}) if near else None,
        sample=Draw(size=sample["size"], seed=sample["seed"]) if sample else None,
        without_areas=tuple(without.get("areas", ())),
        without_topics=tuple(without.get("topics", ())),
        without_messages=tuple(UUID(each) for each in without.get("messages", ())),
    )


def part_of(stored: Mapping[str, Any]) -> dict[str, Any]:
    """What `store` added to stored criteria."""
    return {name: stored[name] for name in KEPT if name in stored}


async def areas_of(tx: Tx, stored: Mapping[str, Any]) -> tuple[str, ...]:
    """The areas with everything inside them, save those left out."""
    left_out = set(await _inside(tx, stored.get("without", {}).get("areas", ())))
    return tuple(code for code in await _inside(tx, stored["areas"]) if code not in left_out)


async def criteria_of(tx: Tx, kind: Kind, stored: Mapping[str, Any]) -> Criteria:
    """The audience that a message's stored criteria describe; a sample that is not drawn yet (of a draft) as of now."""
    criteria = await _asked_for(tx, kind, stored)
    if criteria.sample and criteria.sample.marks is None:
        criteria, _ = await draw(tx, criteria, tx.now)
    return criteria


async def counted(
    tx: Tx, kind: Kind, stored: Mapping[str, Any], as_of: datetime, *, languages: Sequence[str] = ()
) -> tuple[Criteria, Reach]:
    """The same, and how many that is; languages: as `reach.count` takes them. One pass over the people."""
    criteria = await _asked_for(tx, kind, stored)
    if criteria.sample and criteria.sample.marks is None:
        return await draw(tx, criteria, tx.now, languages)
    return criteria, await count(tx, criteria, as_of, languages)


async def _asked_for(tx: Tx, kind: Kind, stored: Mapping[str, Any]) -> Criteria:
    without, near = stored.get("without", {}), stored.get("near")
    whole = bool(stored.get("everywhere"))
    areas = () if whole else await areas_of(tx, stored)
    left_out = await _inside(tx, without.get("areas", ()))
    return Criteria(
        areas=areas,
        is_everywhere=whole or (not left_out and await is_everywhere(tx, areas)),
        topics=tuple(stored["topics"]),
        media=tuple(stored["media"]),
        wanted_by=wanted_by(kind),
        ignores_digest=kind is Kind.ALERT,
        languages=tuple(stored.get("languages", ())),
        homes=tuple(tx.keys.postcode_hash(each) for each in stored.get("postcodes", ())),
        near=Circle(**{name: near[name] for name in ("easting", "northing", "metres")}) if near else None,
        without_areas=left_out,
        without_topics=tuple(without.get("topics", ())),
        without=_got([UUID(each) for each in without["messages"]]) if "messages" in without else None,
        sample=Sample(**stored["sample"]) if "sample" in stored else None,
    )


def frozen(stored: Mapping[str, Any], criteria: Criteria) -> dict[str, Any]:
    """The stored criteria with what is settled at approval: a sample's marks, and whether it is for everywhere.

    So each page of the plan asks for the same people, whoever joins or leaves, and need not spread out a force.
    """
    kept = {**stored, "everywhere": True} if criteria.is_everywhere else dict(stored)
    if criteria.sample is not None:
        kept["sample"] = {**stored["sample"], "marks": dict(criteria.sample.marks or {})}
    return kept


# --- Checking -----------------------------------------------------------------------------------


def _canonical(typed: str) -> str | None:
    reading = postcodes.read(typed)
    return reading.postcode if isinstance(reading, Whole) else None


def _fault_of(near: Near) -> str:
    if not 0 < near.metres <= LONGEST_METRES:
        return "Choose a distance from 1 metre to 50 kilometres."
    if near.postcode:
        if near.easting is not None or near.northing is not None:
            return "Measure from a postcode or from a point, not from both."
        known = _canonical(near.postcode)
        return "" if known else f"“{near.postcode[:20]}” is not a full postcode."
    if near.easting is None or near.northing is None:
        return "Say where to measure from: a postcode, or an easting and a northing."
    if not (0 <= near.easting < 700_000 and 0 <= near.northing < 1_300_000):
        return "That point lies outside Great Britain's National Grid."
    return ""


async def _require_known(tx: Tx, narrow: Narrow) -> None:
    codes = set((await tx.execute(select(Area.code).where(Area.code.in_(narrow.without_areas)))).scalars())
    if unknown := [code for code in narrow.without_areas if code not in codes]:
        raise Invalid({"without_areas": f"There is no area {unknown[0][:20]}."})
    slugs = set((await tx.execute(select(Topic.slug).where(Topic.slug.in_(narrow.without_topics)))).scalars())
    if strange := [slug for slug in narrow.without_topics if slug not in slugs]:
        raise Invalid({"without_topics": f"There is no topic “{strange[0][:40]}”."})
    states = select(Message.id, Message.state).where(Message.id.in_(narrow.without_messages))
    found = {row.id: row.state for row in await tx.execute(states)}
    for message in narrow.without_messages:
        if message not in found:
            raise Invalid({"without_messages": f"There is no message {message}."})
        if found[message] not in ENDED:
            raise Invalid(
                {"without_messages": f"Message {message} is not over yet: wait until it is known who got it."}
            )


async def _known_postcodes(tx: Tx, typed: Sequence[str]) -> list[str]:
    wanted = sorted({known for each in typed if (known := _canonical(each))})
    rows = await tx.execute(select(Postcode.postcode).where(Postcode.postcode.in_(wanted)))
    held = set(rows.scalars())
    if unknown := [each for each in wanted if each not in held]:
        raise Invalid({"postcodes": f"There is no postcode {unknown[0]}."})
    return wanted


async def _point(tx: Tx, near: Near) -> dict[str, Any]:
    if not near.postcode:
        return {"easting": near.easting, "northing": near.northing, "metres": near.metres}
    postcode = _canonical(near.postcode)
    place = select(Postcode.easting, Postcode.northing).where(Postcode.postcode == postcode)
    row = (await tx.execute(place)).one_or_none()
    if row is None:
        raise Invalid({"near": f"There is no postcode {postcode}."})
    if row.easting is None or row.northing is None:
        raise Invalid({"near": f"We do not know where {postcode} lies."})
    return {
        "easting": row.easting,
        "northing": row.northing,
        "metres": near.metres,
        "postcode": postcode,
    }


# --- Reading ------------------------------------------------------------------------------------


async def _inside(tx: Tx, codes: Sequence[str]) -> tuple[str, ...]:
    return await with_descendants(tx, codes) if codes else ()


def _got(messages: Sequence[UUID]) -> Select[*tuple[Any, ...]]:
    """Ids of subscribers who got one of these messages, or may have."""
    return (
        select(ContactPoint.subscriber_id)
        .join(Delivery, Delivery.contact_point_id == ContactPoint.id)
        .where(
            Delivery.message_id.in_(messages),
            or_(Delivery.state.in_(GOT), Delivery.maybe_repeat.is_(True)),
        )
    )
