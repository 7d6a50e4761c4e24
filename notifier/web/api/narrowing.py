"""What a message's body may say to narrow its audience, how the service takes it, and how it is shown.

What is shown may be sent back as it is.
"""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from notifier.broadcast.narrow import MOST_POSTCODES, SEEDS, Draw, Narrow, Near
from notifier.web.api.operation import Answer
from notifier.web.api.strict import Body

FIELDS = {
    "languages": "languages",
    "postcodes": "postcodes",
    "near": "near",
    "sample": "sample",
    "without_areas": "exclude.areas",
    "without_topics": "exclude.topics",
    "without_messages": "exclude.messages",
}
Word = Annotated[str, Field(min_length=1, max_length=40)]


class NearBody(Body):
    """So many metres from a postcode or a point of the National Grid: whose 250 m square has its middle within."""

    metres: int
    postcode: Annotated[str, Field(max_length=20)] = ""
    easting: int | None = None
    northing: int | None = None


class SampleBody(Body):
    """So many people by chance, each area in proportion. The same seed draws the same people again."""

    size: Annotated[int, Field(le=100_000_000)]
    seed: Annotated[int, Field(ge=0, lt=SEEDS)] | None = None


class ExcludeBody(Body):
    """Nobody who follows one of these areas or topics, or who got one of these messages."""

    areas: Annotated[list[Word], Field(max_length=1000, default_factory=list)]
    topics: Annotated[list[Word], Field(max_length=30, default_factory=list)]
    messages: Annotated[list[UUID], Field(max_length=100, default_factory=list)]


class NarrowBody(Body):
    """Of those who follow the areas and topics: those who read these languages, who live at these postcodes or
    near, some by chance, and not those excluded. What is left out asks nothing."""

    languages: Annotated[list[Word], Field(max_length=20, default_factory=list)]
    postcodes: Annotated[list[Word], Field(max_length=MOST_POSTCODES, default_factory=list)]
    near: NearBody | None = None
    sample: SampleBody | None = None
    exclude: ExcludeBody | None = None


class NearAnswer(Answer):
    """postcode: the one it was measured from, or empty where easting and northing were given."""

    metres: int
    postcode: str
    easting: int | None
    northing: int | None


class SampleAnswer(Answer):
    size: int
    seed: int


class ExcludeAnswer(Answer):
    areas: list[str]
    topics: list[str]
    messages: list[UUID]


class NarrowAnswer(Answer):
    """Of those who follow the areas and topics, whom: as it was asked, the seed of a sample added."""

    languages: list[str]
    postcodes: list[str]
    near: NearAnswer | None
    sample: SampleAnswer | None
    exclude: ExcludeAnswer


def narrow_of(body: NarrowBody | None) -> Narrow | None:
    """As a draft keeps it."""
    if body is None:
        return None
    left_out = body.exclude or ExcludeBody(areas=[], topics=[], messages=[])
    return Narrow(
        languages=tuple(body.languages),
        postcodes=tuple(body.postcodes),
        near=Near(**body.near.model_dump()) if body.near else None,
        sample=Draw(**body.sample.model_dump()) if body.sample else None,
        without_areas=tuple(left_out.areas),
        without_topics=tuple(left_out.topics),
        without_messages=tuple(left_out.messages),
    )


def answer_of(narrow: Narrow | None) -> NarrowAnswer | None:
    """As the API shows it."""
    if narrow is None:
        return None
    near, sample = narrow.near, narrow.sample
    return NarrowAnswer(
        languages=list(narrow.languages),
        postcodes=list(narrow.postcodes),
        near=NearAnswer(
            metres=near.metres,
            postcode=near.postcode,
            easting=near.easting,
            northing=near.northing,
        )
        if near
        else None,
        sample=SampleAnswer(size=sample.size, seed=sample.seed or 0) if sample else None,
        exclude=ExcludeAnswer(
            areas=list(narrow.without_areas),
            topics=list(narrow.without_topics),
            messages=list(narrow.without_messages),
        ),
    )
