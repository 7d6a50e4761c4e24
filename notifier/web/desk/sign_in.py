"""Signing in and out of the desk. One answer for an unknown officer, a wrong password and too many tries."""

from collections.abc import Sequence
from http import HTTPStatus

from aiohttp import web

from channels import addresses
from channels.errors import BadAddress
from notifier.staff import demo, passwords, sessions, sign_in
from notifier.staff.demo import DemoSignIn
from notifier.web.context import see_other, show
from notifier.web.desk.access import SIGN_IN, is_our_page, read_session
from notifier.web.forms import Fields, Filled, Form, fields, query
from notifier.web.service import database, settings
from notifier.web.session import drop_session, form_token, give_session, session_token

HOME = "/desk"
WRONG = "The email address or the password is wrong. After several tries, wait a minute."
KEPT = "kept-"  # before the names of fields of another form, carried through the sign-in


async def page(request: web.Request) -> web.Response:
    """GET: the form; whoever is signed in already goes on to the desk."""
    if await read_session(request) is not None:
        return see_other(HOME)
    wanted = query(request).one("next") or HOME
    return await _form(request, Filled(), wanted, ())


async def enter(request: web.Request) -> web.Response:
    """POST: check, and begin a session of its own. Nothing a browser brought along is kept as one."""
    sent = await fields(request)
    wanted = sent.one("next") or HOME
    kept = _kept(sent)
    email, password = (sent.one("email") or "").strip(), sent.one("password") or ""
    errors = _missing(email, password)
    if errors:
        return await _form(request, Filled(typed=sent, errors=errors), wanted, kept)
    token = await _try(request, _spelling(email), password)
    if token is None:
        return await _form(request, Filled(typed=sent, errors={"email": WRONG}), wanted, kept)
    target = wanted if is_our_page(wanted) else HOME
    if kept:
        response = show(
            request,
            "desk/carry_on.html",
            action=target,
            kept=kept,
            form_token=lambda: form_token(request, session=token),
        )
    else:
        response = see_other(target)
    give_session(request, response, token)
    return response


async def leave(request: web.Request) -> web.Response:
    """POST: end the session here and now."""
    token = session_token(request)
    if token:
        async with database(request).transaction() as tx:
            await sessions.end(tx, token)
    response = see_other(SIGN_IN)
    drop_session(request, response)
    return response


async def _try(request: web.Request, email: str, password: str) -> str | None:
    """The token of a new session, or None. No transaction is open while the password is checked."""
    async with database(request).transaction() as tx:
        attempt = await sign_in.begin(tx, email)
    is_right = await passwords.is_right(attempt.password_hash, password)
    async with database(request).transaction() as tx:
        token = await sign_in.finish(tx, attempt, is_right=is_right)
        earlier = session_token(request)
        if token and earlier:
            await sessions.end(tx, earlier)
    return token


async def _form(
    request: web.Request, form: Filled[Form], wanted: str, kept: Sequence[tuple[str, str]]
) -> web.Response:
    known: list[DemoSignIn] = []
    if settings(request).demo:
        async with database(request).transaction(read_only=True) as tx:
            known = await demo.sign_ins(tx)
    return show(
        request,
        "desk/sign_in.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK,
        form=form,
        next_path=wanted if is_our_page(wanted) else HOME,
        kept=kept,
        sign_ins=known,
        password=demo.PASSWORD if known else "",
    )


def _missing(email: str, password: str) -> dict[str, str]:
    errors = {}
    if not email:
        errors["email"] = "Enter your email address"
    if not password:
        errors["password"] = "Enter your password"  # noqa: S105 - a sentence
    return errors


def _spelling(email: str) -> str:
    """The normal spelling, or what was typed where it has none: nobody has that."""
    try:
        return addresses.email(email)
    except BadAddress:
        return email[:320].encode("utf-8", "replace").decode()


def _kept(sent: Fields) -> list[tuple[str, str]]:
    """The fields of the form that was under way when the officer was found signed out."""
    return [
        (name.removeprefix(KEPT), value) for name in sent if name.startswith(KEPT) for value in sent[name]
    ]


ROUTES = [web.get(SIGN_IN, page), web.post(SIGN_IN, enter), web.post("/desk/sign-out", leave)]
