"""Finds the ward of a postcode as a person typed it. Called by the pages, the API and sign-up.

The answer is one of a closed union; each class has a `slug` by which `templates.lookup` finds its
sentence. The rows come from `postcode_import`.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, assert_never

from sqlalchemy import Row, exists, func, or_, select
from sqlalchemy.orm import aliased

from subscribers import postcodes
from subscribers.models import Area, AreaKind, Postcode, Transaction
from subscribers.postcodes import Elsewhere, Impossible, Incomplete, Nation, Suggested, Unit, Whole


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedArea:
    """An area by code and name. ended: a ward that was redrawn; it has no residents any more."""

    code: str
    name: str
    ended: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A postcode in use, in a place we serve. No ward: the file named the borough alone, so ask.

    lat, long: degrees, WGS84; easting, northing: metres, OSGB36; None where the file has no position.
    Files know one ward for each postcode, though homes can lie in two: let people correct it.
    """

    slug: ClassVar[str] = "found"
    postcode: str
    ward: NamedArea | None
    borough: NamedArea | None
    lat: float | None
    long: float | None
    easting: int | None
    northing: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Terminated:
    """No longer used since `month` (`YYYY-MM`, None if only its absence is known); its last ward, if known."""

    slug: ClassVar[str] = "terminated"
    postcode: str
    month: str | None
    ward: NamedArea | None
    borough: NamedArea | None
    served: bool
    lat: float | None
    long: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class NotServed:
    """A real place where none of our teams work. The borough or the nation, where known."""

    slug: ClassVar[str] = "not_served"
    postcode: str
    ward: NamedArea | None = None
    borough: NamedArea | None = None
    nation: Nation | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NoPlace:
    """In use, but the file ties it to no ward and no borough."""

    slug: ClassVar[str] = "no_place"
    postcode: str


@dataclass(frozen=True, kw_only=True, slots=True)
class UnknownPostcode:
    """Well formed, of a district we know, but in no file we have: new, or mistyped."""

    slug: ClassVar[str] = "unknown"
    postcode: str


Result = (
    Found
    | Terminated
    | NotServed
    | NoPlace
    | UnknownPostcode
    | Suggested
    | Incomplete
    | Impossible
    | Elsewhere
)


async def look_up(tx: Transaction, text: str) -> Result:
    """The place of a postcode in any spelling. Never raises for what a person can type."""
    reading = postcodes.read(text)
    if not isinstance(reading, Whole):
        return reading
    row = (await tx.execute(_by_postcode(reading.postcode))).one_or_none()
    if row is None:
        return await _unheld(tx, reading.unit)
    if row.terminated or row.gone_in:
        return Terminated(
            postcode=row.postcode,
            month=row.terminated,
            ward=_ward(row),
            borough=_borough(row),
            served=bool(row.served),
            lat=row.lat,
            long=row.long,
        )
    if row.ward_code is None and row.borough_code is None:
        return NoPlace(postcode=row.postcode)
    if not row.served:
        return NotServed(
            postcode=row.postcode,
            ward=_ward(row),
            borough=_borough(row),
            nation=postcodes.nation(reading.unit),
        )
    return Found(
        postcode=row.postcode,
        ward=_ward(row),
        borough=_borough(row),
        lat=row.lat,
        long=row.long,
        easting=row.easting,
        northing=row.northing,
    )


async def wards_of(tx: Transaction, borough_code: str) -> list[NamedArea]:
    """The wards of a borough today, by name: for people whose home is in another than the file says."""
    found = await tx.execute(
        select(Area.code, Area.name)
        .where(Area.parent_code == borough_code, Area.kind == AreaKind.WARD, Area.valid_to.is_(None))
        .order_by(Area.name, Area.code)
    )
    return [NamedArea(code=row.code, name=row.name) for row in found]


def as_json(result: Result) -> dict[str, Any]:
    """A result as the API states it; the caller adds `message`. Absent facts are null."""
    suggestion = result.postcode if isinstance(result, Suggested) else None
    facts: dict[str, Any] = {
        "slug": slug(result),
        "postcode": None if suggestion else getattr(result, "postcode", None),
        "suggestion": suggestion,
    }
    for name in ("ward", "borough"):
        area: NamedArea | None = getattr(result, name, None)
        facts[name] = {"code": area.code, "name": area.name} if area else None
    for name in ("lat", "long", "easting", "northing"):
        facts[name] = getattr(result, name, None)
    facts["terminated"] = isinstance(result, Terminated)
    facts["terminated_month"] = result.month if isinstance(result, Terminated) else None
    return facts


def words(result: Result) -> dict[str, str]:
    """The arguments of `templates.lookup.sentence`; unknown ones are left out."""
    said = {
        "postcode": getattr(result, "postcode", None),
        "month": getattr(result, "month", None),
        "nation": getattr(result, "nation", None),
        "place": getattr(result, "place", None),
    }
    for name in ("ward", "borough"):
        area: NamedArea | None = getattr(result, name, None)
        said[name] = area.name if area else None
    return {"slug": slug(result), **{name: str(value) for name, value in said.items() if value}}


def slug(result: Result) -> str:
    """The short name of a result's kind, part of the API."""
    match result:
        case Suggested():
            return "suggested"
        case Incomplete():
            return "incomplete"
        case Impossible():
            return "impossible"
        case Elsewhere():
            return "elsewhere"
        case Found() | Terminated() | NotServed() | NoPlace() | UnknownPostcode():
            return result.slug
        case _:
            assert_never(result)


def _by_postcode(postcode: str) -> Any:
    """The postcode with its ward, its borough (the ward's, else the file's) and whatever lies above.

    A place is served if its ward is, or anything the ward lies in.
    """
    ward, borough, above = aliased(Area), aliased(Area), aliased(Area)
    return (
        select(
            *Postcode.__table__.columns,
            ward.name.label("ward_name"),
            ward.valid_to.label("ward_ended"),
            borough.code.label("parent_code"),
            borough.name.label("borough_name"),
            or_(
                func.coalesce(ward.served, False),
                func.coalesce(borough.served, False),
                func.coalesce(above.served, False),
            ).label("served"),
        )
        .outerjoin(ward, ward.code == Postcode.ward_code)
        .outerjoin(borough, borough.code == func.coalesce(ward.parent_code, Postcode.borough_code))
        .outerjoin(above, above.code == borough.parent_code)
        .where(Postcode.postcode == postcode)
    )


async def _unheld(tx: Transaction, unit: Unit) -> NotServed | UnknownPostcode:
    """A postcode in no file: of a district we hold it is unknown, elsewhere it is another force's."""
    nation = postcodes.nation(unit)
    district = exists().where(
        Postcode.postcode.between(f"{unit.outward} 0", f"{unit.outward} 9ZZ"),
        Postcode.postcode.like(f"{unit.outward} %"),  # a collation may ignore the space
    )
    if nation is None and await tx.scalar(select(district)):
        return UnknownPostcode(postcode=str(unit))
    return NotServed(postcode=str(unit), nation=nation)


def _ward(row: Row[Any]) -> NamedArea | None:
    if row.ward_code is None:
        return None
    return NamedArea(
        code=row.ward_code, name=row.ward_name or row.ward_code, ended=row.ward_ended is not None
    )


def _borough(row: Row[Any]) -> NamedArea | None:
    code = row.parent_code or row.borough_code
    return NamedArea(code=code, name=row.borough_name or code) if code else None
