"""Confirming an address: by the link in an email, by the code in a text.

GET only shows (scanners of mail follow links); the button acts, and may be pressed again. A link or
code that is wrong, used up or run out gets one answer.
"""

from http import HTTPStatus
from uuid import UUID

from aiohttp import web
from pydantic import ValidationInfo, field_validator

from channels.errors import BadAddress
from notifier.broadcast import welcome
from notifier.broadcast.welcome import Confirmed, Waiting
from notifier.web import addresses
from notifier.web.context import show
from notifier.web.forms import EMPTY, Filled, Form, fields, read
from notifier.web.service import database, settings
from notifier.web.text_limit import may_text

WRONG_CODE = "That code is wrong or has run out. Check it, or sign up again to get a new one"


class Code(Form):
    """Six digits, for a phone: the number, or the contact point where the page knows it already."""

    contact: str = ""
    phone: str = ""
    code: str = ""

    @field_validator("phone")
    @classmethod
    def _is_mobile(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("contact"):
            return ""
        try:
            return addresses.mobile(value)
        except BadAddress as error:
            raise ValueError(str(error)) from error

    @field_validator("code")
    @classmethod
    def _is_six_digits(cls, value: str) -> str:
        digits = "".join(character for character in value if character.isascii() and character.isdigit())
        if len(digits) != 6:
            raise ValueError("Enter the 6 digits from our text")
        return digits


async def see(request: web.Request) -> web.Response:
    """Where the link in the email leads: what it would confirm, and the button."""
    async with database(request).transaction(read_only=True) as tx:
        found = await welcome.see_link(
            tx, request.match_info["token"], public_url=settings(request).public_url
        )
    if isinstance(found, Waiting):
        return show(request, "public/confirm.html", area_names=found.area_names)
    if isinstance(found, Confirmed):
        return show(request, "public/confirmed.html", area_names=found.area_names, manage_url="", contact="")
    return _run_out(request)


async def confirm(request: web.Request) -> web.Response:
    """The button. Safe to press again."""
    token, public_url = request.match_info["token"], settings(request).public_url
    async with database(request).transaction(read_only=True) as tx:
        seen = await welcome.see_link(tx, token, public_url=public_url)
    allowed = not (isinstance(seen, Waiting) and seen.then_texts) or await may_text(request)
    async with database(request).transaction() as tx:
        found = await welcome.confirm_link(tx, token, public_url=public_url, may_text=allowed)
    return _confirmed(request, found) if isinstance(found, Confirmed) else _run_out(request)


async def ask_code(request: web.Request) -> web.Response:
    """The page for the code."""
    return show(request, "public/confirm_text.html", contact="")


async def take_code(request: web.Request) -> web.Response:
    """The code as typed."""
    filled = read(Code, await fields(request))
    if filled.value is None:
        return _code_again(request, filled)
    async with database(request).transaction() as tx:
        found = await welcome.confirm_code(
            tx,
            _contact(filled.value.contact) or filled.value.phone,
            filled.value.code,
            public_url=settings(request).public_url,
        )
    if isinstance(found, Confirmed):
        return _confirmed(request, found)
    return _code_again(request, filled.with_errors({"code": WRONG_CODE}))


def _contact(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _code_again(request: web.Request, filled: Filled[Code]) -> web.Response:
    return show(
        request,
        "public/confirm_text.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        form=filled,
        contact=filled.text("contact") if _contact(filled.text("contact")) else "",
    )


def _confirmed(request: web.Request, found: Confirmed) -> web.Response:
    return show(
        request,
        "public/confirmed.html",
        area_names=found.area_names,
        manage_url=found.manage_url,
        contact=str(found.next_phone or ""),
        phone_left=found.phone_left,
    )


def _run_out(request: web.Request) -> web.Response:
    return show(request, "public/link_run_out.html", status=HTTPStatus.NOT_FOUND, form=EMPTY)


ROUTES = [
    web.get("/confirm/{token}", see),
    web.post("/confirm/{token}", confirm),
    web.get("/confirm-text", ask_code),
    web.post("/confirm-text", take_code),
]
