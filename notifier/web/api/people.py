"""Sign-up over the API: double opt-in, and one answer for known and unknown addresses."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from channels.errors import BadAddress
from notifier.broadcast import welcome
from notifier.broadcast.welcome import SignUpForm
from notifier.db import Tx
from notifier.errors import Invalid, Unavailable
from notifier.staff.api_tokens import Scope
from notifier.web import addresses, text_limit
from notifier.web.api.operation import Answer, Call, Nothing, Operation
from notifier.web.api.strict import Body
from subscribers import areas, names, postcodes
from subscribers.areas import Found
from subscribers.models import Frequency, LeastPriority
from subscribers.postcodes import Whole
from templates import lookup
from templates.languages import NAMES

Codes = Annotated[list[Annotated[str, Field(min_length=1, max_length=20)]], Field(max_length=30)]
Slugs = Annotated[list[Annotated[str, Field(min_length=1, max_length=40)]], Field(max_length=30)]


class NewSubscriber(Body):
    """Whom to ask. An email address or a mobile number, and areas or a postcode; no topics: all of them."""

    email: Annotated[str, Field(max_length=512)] | None = None
    phone: Annotated[str, Field(max_length=64)] | None = None
    postcode: Annotated[str, Field(max_length=64)] | None = None
    areas: Annotated[Codes, Field(default_factory=list)]
    topics: Annotated[Slugs, Field(default_factory=list)]
    language: str = "en"
    least_priority: LeastPriority = LeastPriority.EVERYTHING
    frequency: Frequency = Frequency.AT_ONCE
    name: Annotated[str, Field(max_length=200)] | None = None

    @field_validator("language")
    @classmethod
    def _is_offered(cls, value: str) -> str:
        if value not in NAMES:
            raise ValueError("Choose one of " + ", ".join(NAMES))
        return value

    @field_validator("name")
    @classmethod
    def _is_name(cls, value: str | None) -> str | None:
        return names.read(value) if value else None

    @field_validator("areas", "topics")
    @classmethod
    def _are_different(cls, value: list[str]) -> list[str]:
        if len(set(value)) != len(value):
            raise ValueError("Name each of them once")
        return value

    @model_validator(mode="after")
    def _has_enough(self) -> "NewSubscriber":
        if not self.email and not self.phone:
            raise ValueError("Give an email address or a mobile number")
        if not self.areas and not self.postcode:
            raise ValueError("Give areas or a postcode")
        return self


class Asked(Answer):
    """We have asked whoever owns the address to confirm, if there is anything to ask."""

    status: Literal["asked"] = "asked"


async def may_text(call: Call[Nothing, NewSubscriber]) -> None:
    """A sign-up by phone alone costs a text: Unavailable where the hour's are used up or cannot be counted."""
    if call.body.phone and not call.body.email and not await text_limit.count_text(call.service):
        raise Unavailable(text_limit.SENTENCE)


async def sign_up(tx: Tx, call: Call[Nothing, NewSubscriber]) -> Asked:
    """Ask the address's owner to confirm. The answer is the same for everybody."""
    wanted, faults = call.body, {}
    known = call.service.settings
    email = phone = None
    try:
        email = addresses.email(wanted.email, our_domain=known.mail_domain) if wanted.email else None
    except BadAddress as error:
        faults["email"] = str(error)
    try:
        phone = addresses.mobile(wanted.phone) if wanted.phone else None
    except BadAddress as error:
        faults["phone"] = str(error)
    codes = tuple(wanted.areas)
    if not codes and wanted.postcode:
        result = await areas.look_up(tx, wanted.postcode)
        if isinstance(result, Found) and result.ward:
            codes = (result.ward.code,)
        else:
            faults["postcode"] = lookup.sentence(**areas.words(result))
    if faults:
        raise Invalid(faults)
    form = SignUpForm(
        area_codes=codes,
        email=email,
        phone=phone,
        postcode=_whole(wanted.postcode),
        topics=tuple(wanted.topics),
        language=wanted.language,
        least_priority=wanted.least_priority,
        frequency=wanted.frequency,
        name=wanted.name,
        source="api",
    )
    try:
        await welcome.sign_up(tx, form, public_url=known.public_url)
    except Invalid as error:
        raise Invalid({_FIELDS.get(name, name): words for name, words in error.fields.items()}) from None
    return Asked()


_FIELDS = {"area_codes": "areas"}


def _whole(postcode: str | None) -> str | None:
    found = postcodes.read(postcode) if postcode else None
    return found.postcode if isinstance(found, Whole) else None


OPERATIONS = (
    Operation(
        method="POST",
        path="/subscribers",
        summary="Ask somebody to confirm that they subscribe",
        handler=sign_up,
        answer=Asked,
        status=202,
        body=NewSubscriber,
        scope=Scope.WRITE,
        problems=(400, 409, 413, 415, 422),
        before=may_text,
    ),
)
