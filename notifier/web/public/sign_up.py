"""Sign-up: one page of choices, then "check your email", the same for everybody.

Nothing is shown that would tell whether an address is known. A form that a program filled in is
answered like any other and forgotten.
"""

from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlencode

import structlog
from aiohttp import web
from pydantic import AfterValidator, ValidationInfo, field_validator

from channels.errors import BadAddress
from notifier.broadcast import welcome
from notifier.broadcast.welcome import SignUpForm
from notifier.errors import Invalid
from notifier.web import addresses
from notifier.web.context import see_other, show
from notifier.web.forms import Fields, Filled, Form, Says, fields, query, read
from notifier.web.public import places
from notifier.web.public.home import postcode_in
from notifier.web.service import database, settings
from notifier.web.session import form_age_seconds
from notifier.web.text_limit import SENTENCE, may_text
from subscribers import names, postcodes
from subscribers.consent import WORDING
from subscribers.models import Frequency, LeastPriority
from subscribers.postcodes import Whole
from subscribers.topics import topic_labels
from templates.languages import NAMES

log = structlog.get_logger()

DECOY = "website"
FASTEST_PERSON_SECONDS = 0.4  # from seeing the page to pressing its button; programs take less
MOST_AREAS = 30


def _some(topics: tuple[str, ...]) -> tuple[str, ...]:
    """All are ticked at first, so that none is a choice that was taken back, and not all of them."""
    if not topics:
        raise ValueError("Choose at least one topic")
    return topics


def _offered(language: str) -> str:
    if language not in NAMES:
        raise ValueError("Choose a language from the list")
    return language


# What sign-up and the preferences page both ask.
Topics = Annotated[tuple[str, ...], AfterValidator(_some)]
Language = Annotated[str, AfterValidator(_offered)]


class SignUp(Form):
    """What the page sends, under the names its fields have there.

    email_kept: an address whose spelling we doubted and the person kept. Context: our own mail domain.
    """

    area: tuple[str, ...] = ()
    channel: tuple[str, ...] = ()
    email: str = ""
    phone: str = ""
    topic: Topics = ()
    least_priority: Annotated[LeastPriority, Says(sentence="Choose how much you want to hear")] = (
        LeastPriority.EVERYTHING
    )
    frequency: Annotated[Frequency, Says(sentence="Choose how often")] = Frequency.AT_ONCE
    language: Language = "en"
    name: str = ""
    postcode: str = ""
    under13: str = ""
    consent: str = ""

    @field_validator("area")
    @classmethod
    def _some_areas(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("Choose at least one area")
        if len(value) > MOST_AREAS:
            raise ValueError(f"Choose {MOST_AREAS} areas at most")
        return tuple(dict.fromkeys(value))

    @field_validator("channel")
    @classmethod
    def _some_channels(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or set(value) - {"email", "sms"}:
            raise ValueError("Choose email, text message or both")
        return value

    @field_validator("email")
    @classmethod
    def _is_email(cls, value: str, info: ValidationInfo) -> str:
        if "email" not in info.data.get("channel", ()):
            return ""
        try:
            return addresses.email(value, our_domain=str(info.context))
        except BadAddress as error:
            raise ValueError(str(error)) from error

    @field_validator("phone")
    @classmethod
    def _is_mobile(cls, value: str, info: ValidationInfo) -> str:
        if "sms" not in info.data.get("channel", ()):
            return ""
        try:
            return addresses.mobile(value)
        except BadAddress as error:
            raise ValueError(str(error)) from error

    @field_validator("name")
    @classmethod
    def _is_name(cls, value: str) -> str:
        return names.read(value) or ""

    @field_validator("postcode")
    @classmethod
    def _is_whole(cls, value: str) -> str:
        """It only notes which ward is home, so one that is not whole is left out, not refused."""
        found = postcodes.read(value[:64])
        return found.postcode if isinstance(found, Whole) else ""

    @field_validator("consent")
    @classmethod
    def _is_given(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("under13"):
            raise ValueError("You must be 13 or over to sign up")
        if value != "yes":
            raise ValueError("Tick the box if you agree. Without it we cannot send you anything")
        return value


async def page(request: web.Request) -> web.Response:
    """The form, with the areas that its address names chosen already."""
    sent = query(request)
    chosen = list(sent.get("area", ()))[:MOST_AREAS]
    return await _form(request, Filled(), chosen=chosen, postcode=postcode_in(sent) or "")


async def submit(request: web.Request) -> web.Response:
    """Take the form: shown again where it needs mending, else on to what happens next."""
    sent = await fields(request)
    filled = read(SignUp, sent, context=settings(request).mail_domain)
    doubt = _doubt(filled, sent)
    if filled.value is None or doubt:
        return await _form(
            request, filled.with_errors({"email": doubt} if doubt else {}), doubted=bool(doubt)
        )
    if sent.one(DECOY) or form_age_seconds(request) < FASTEST_PERSON_SECONDS:
        log.info("sign_up_ignored", reason="decoy" if sent.one(DECOY) else "too fast")
        return _sent(filled.value)
    if filled.value.phone and not filled.value.email and not await may_text(request):
        status = HTTPStatus.SERVICE_UNAVAILABLE
        return await _form(request, filled.with_errors({"phone": SENTENCE}), status=status)
    try:
        async with database(request).transaction() as tx:
            await welcome.sign_up(tx, _wish(filled.value), public_url=settings(request).public_url)
    except Invalid as error:
        named = {_FIELDS.get(name, name): sentence for name, sentence in error.fields.items()}
        return await _form(request, filled.with_errors(named))
    return _sent(filled.value)


async def sent(request: web.Request) -> web.Response:
    """What happens next. It depends on what was typed alone, never on who is known."""
    ways = query(request).get("by", ("email",))
    return show(request, "public/sign_up_sent.html", by_email="email" in ways, by_text="sms" in ways)


_FIELDS = {"area_codes": "area", "topics": "topic"}  # a field of welcome.SignUpForm → its name on the page


def _sent(value: SignUp) -> web.Response:
    """With both addresses the email is asked first, the phone once it is confirmed."""
    return see_other(f"/sign-up/sent?{urlencode({'by': 'email' if value.email else 'sms'})}")


def _doubt(filled: Filled[SignUp], sent: Fields) -> str:
    """The question about an address that looks like a slip, asked once for each address."""
    if "email" in filled.errors or "email" not in sent.get("channel", ()):
        return ""
    typed = (sent.one("email") or "").strip().lower()
    meant = addresses.likely_meant(typed)
    if meant is None or sent.one("email_kept") == typed:
        return ""
    domain = meant.rpartition("@")[2]
    return f"Did you mean {domain}? Change the address, or press the button again to keep it"


def _wish(value: SignUp) -> SignUpForm:
    return SignUpForm(
        area_codes=value.area,
        email=value.email or None,
        phone=value.phone or None,
        postcode=value.postcode or None,
        topics=value.topic,
        language=value.language,
        least_priority=value.least_priority,
        frequency=value.frequency,
        name=value.name or None,
        wording=WORDING,
    )


async def _form(
    request: web.Request,
    filled: Filled[SignUp],
    *,
    chosen: list[str] | None = None,
    postcode: str = "",
    doubted: bool = False,
    status: HTTPStatus = HTTPStatus.UNPROCESSABLE_ENTITY,
) -> web.Response:
    """The form as it stands. Offers the chosen areas first, then the wards beside them, else all wards."""
    codes = list(filled.typed.get("area", ())) or chosen or []
    async with database(request).transaction(read_only=True) as tx:
        first = await places.places(tx, codes)
        boroughs = {each.within_code for each in first}
        others = [each for each in await places.wards(tx, boroughs or None) if each not in first]
        topics = await topic_labels(tx, "en")
    return show(
        request,
        "public/sign_up.html",
        status=status if filled.errors else HTTPStatus.OK,
        form=filled,
        chosen=first,
        others=others,
        topics=list(topics.items()),
        languages=list(NAMES.items()),
        postcode=postcode,
        doubted=filled.text("email").strip().lower() if doubted else "",
    )


ROUTES = [web.get("/sign-up", page), web.post("/sign-up", submit), web.get("/sign-up/sent", sent)]
