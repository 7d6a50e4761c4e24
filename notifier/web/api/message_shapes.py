"""What callers say of messages over the API, and what they are answered: checked, and described in its document."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field, field_validator

from notifier.broadcast.draft import BODY_LIMIT, REASON_LIMIT, TITLE_LIMIT
from notifier.models import Kind, MessageState
from notifier.web.api.narrowing import NarrowAnswer, NarrowBody
from notifier.web.api.operation import Answer
from notifier.web.api.strict import Body
from templates.languages import ENGLISH, NAMES

Title = Annotated[str, Field(min_length=1, max_length=TITLE_LIMIT)]
Text = Annotated[str, Field(min_length=1, max_length=BODY_LIMIT)]
Code = Annotated[str, Field(min_length=1, max_length=20)]
Slug = Annotated[str, Field(min_length=1, max_length=40)]


class Translation(Body):
    title: Title
    body: Text


def _known_languages(value: dict[str, Translation]) -> dict[str, Translation]:
    unknown = [language for language in value if language not in NAMES or language == ENGLISH]
    if unknown:
        raise ValueError(f"{unknown[0][:20]!r} is not a language we send beside English")
    return value


class NewMessage(Body):
    """A draft. title and body are English, the body limited Markdown. Times need their offset from UTC."""

    kind: Kind
    title: Title
    body: Text
    areas: Annotated[list[Code], Field(min_length=1, max_length=1000)]
    media: Annotated[list[Literal["email", "sms", "push", "social"]], Field(min_length=1, max_length=4)]
    topics: Annotated[list[Slug], Field(max_length=30, default_factory=list)]
    translations: Annotated[dict[str, Translation], Field(max_length=20, default_factory=dict)]
    send_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    reply_by: AwareDatetime | None = None
    consultation_id: UUID | None = None
    override_reason: Annotated[str, Field(max_length=REASON_LIMIT)] = ""
    narrow: NarrowBody | None = None

    @field_validator("areas", "media", "topics")
    @classmethod
    def _are_different(cls, value: list[str]) -> list[str]:
        if len(set(value)) != len(value):
            raise ValueError("Name each of them once")
        return value

    @field_validator("translations")
    @classmethod
    def _are_known(cls, value: dict[str, Translation]) -> dict[str, Translation]:
        return _known_languages(value)


class Approval(Body):
    """allow_duplicate: go on although the same words went to some of the same places within the last 24 hours."""

    allow_duplicate: bool = False


class Correction(Body):
    """The right words; whoever may have got the first message gets them, by the same way.
    English left out is taken from the first message, with a sentence before it; other languages are not."""

    title: Title | None = None
    body: Text | None = None
    translations: Annotated[dict[str, Translation], Field(max_length=20, default_factory=dict)]
    send_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None

    @field_validator("translations")
    @classmethod
    def _are_known(cls, value: dict[str, Translation]) -> dict[str, Translation]:
        return _known_languages(value)


class TextAnswer(Answer):
    title: str
    body: str


class MessageAnswer(Answer):
    """A message and how it goes. narrow: None where all of those places are meant.
    audience: deliveries, None until planned; counts then sum to it.
    state `draft` with waits_for_second: one officer has approved it, another must. paused_reason: why a message
    that was going wrong paused itself. corrects, doubles: ids of other messages, see `correct` and `approve`."""

    id: UUID
    team: UUID
    kind: Kind
    state: MessageState
    texts: dict[str, TextAnswer]
    areas: list[str]
    topics: list[str]
    media: list[str]
    narrow: NarrowAnswer | None
    send_at: datetime | None
    expires_at: datetime | None
    reply_by: datetime | None
    consultation_id: UUID | None
    override_reason: str
    corrects: UUID | None
    doubles: UUID | None
    paused_reason: str
    created_at: datetime
    approved_at: datetime | None
    waits_for_second: bool
    audience: int | None
    counts: dict[str, int]
    by_medium: dict[str, dict[str, int]]
    possible_repeats: int


class MessageLine(Answer):
    id: UUID
    kind: Kind
    state: MessageState
    title: str
    at: datetime
    audience: int | None
    reached: int
    under_way: int


class MessagePage(Answer):
    items: list[MessageLine]
    next: str | None


class PageQuery(Body):
    limit: Annotated[int, Field(ge=1, le=100)] = 25
    cursor: Annotated[str, Field(max_length=256)] | None = None
