"""Places and teams over the API: what anybody may know."""

from sqlalchemy import or_, select

from notifier.db import Tx
from notifier.models import Team, TeamArea, TeamKind
from notifier.web.api.operation import Answer, Call, Nothing, Operation
from notifier.web.api.strict import Body, NotAsked
from subscribers import areas
from templates import lookup

POSTCODE_BYTES = 256


class LookupQuery(Body):
    postcode: str


class NamedArea(Answer):
    code: str
    name: str


class LookupAnswer(Answer):
    """slug: found, terminated, not_served, no_place, unknown, suggested, incomplete, impossible, elsewhere.
    message: a sentence for the person who asked. Positions: degrees (WGS84), metres (OSGB36)."""

    slug: str
    message: str
    postcode: str | None
    suggestion: str | None
    ward: NamedArea | None
    borough: NamedArea | None
    lat: float | None
    long: float | None
    easting: int | None
    northing: int | None
    terminated: bool
    terminated_month: str | None


class TeamAnswer(Answer):
    id: str
    slug: str
    name: str
    kind: TeamKind
    areas: list[str]


class TeamsAnswer(Answer):
    items: list[TeamAnswer]


async def look_up(tx: Tx, call: Call[LookupQuery, Nothing]) -> LookupAnswer:
    """The ward of a postcode as a person typed it. What it is not is an answer too, and no error."""
    text = call.query.postcode
    if len(text.encode("utf-8", "replace")) > POSTCODE_BYTES:
        raise NotAsked(413, "That is too long for a postcode.", [("/postcode", "Shorten it.")])
    result = await areas.look_up(tx, text)
    message = lookup.sentence(**areas.words(result))
    return LookupAnswer.model_validate(areas.as_json(result) | {"message": message})


async def teams(tx: Tx, _call: Call[Nothing, Nothing]) -> TeamsAnswer:
    """Every team and the areas it covers now."""
    rows = await tx.execute(
        select(TeamArea.team_id, TeamArea.area_code)
        .where(TeamArea.since <= tx.now, or_(TeamArea.until.is_(None), TeamArea.until > tx.now))
        .order_by(TeamArea.area_code)
    )
    covered: dict[object, list[str]] = {}
    for row in rows:
        covered.setdefault(row.team_id, []).append(row.area_code)
    found = await tx.execute(select(Team.id, Team.slug, Team.name, Team.kind).order_by(Team.name))
    return TeamsAnswer(
        items=[
            TeamAnswer(
                id=str(row.id),
                slug=row.slug,
                name=row.name,
                kind=TeamKind(row.kind),
                areas=covered.get(row.id, []),
            )
            for row in found
        ]
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/areas/lookup",
        summary="Find the ward of a postcode",
        handler=look_up,
        answer=LookupAnswer,
        query=LookupQuery,
        scope=None,
        problems=(400, 413),
    ),
    Operation(
        method="GET", path="/teams", summary="List the teams", handler=teams, answer=TeamsAnswer, bulk=True
    ),
)
