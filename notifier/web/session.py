"""Cookies, and the tokens that prove a form came from one of our own pages.

A signed-in officer has a session cookie (its hash is a row of `sessions`); anybody else gets a
random visitor cookie with the first form they see. Every form carries a token bound to one of the
two; the middleware refuses unsafe requests without it. With https the names begin with `__Host-`.
"""

import secrets
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

from notifier.errors import NotAllowed
from notifier.web.forms import Fields
from notifier.web.service import service, settings
from subscribers.signing import Use, hash_secret

SESSION, VISITOR, FORM_FIELD = "session", "visitor", "form_token"
FORM_GOOD_FOR_SECONDS = 12 * 3600
SESSION_GOOD_FOR_SECONDS = 12 * 3600


@dataclass(kw_only=True)
class NewVisitor:
    """The cookie a page with a form will set."""

    token: str


NEW_VISITOR = web.RequestKey("new_visitor", NewVisitor)
FORM_AGE = web.RequestKey("form_age", float)


class NotOurForm(NotAllowed):
    """We could not be sure that this came from one of our own pages. Go back, load the page again and send it once more."""


# --- the officer's session ------------------------------------------------------------------


def session_token(request: web.Request) -> str | None:
    """The token in the session cookie; look up `hash_secret` of it in `sessions`."""
    return request.cookies.get(_name(request, SESSION)) or None


def give_session(request: web.Request, response: web.StreamResponse, token: str) -> None:
    """Set the session cookie: a token made afresh at sign-in, never one the browser brought."""
    _set(request, response, SESSION, token, max_age=SESSION_GOOD_FOR_SECONDS)


def drop_session(request: web.Request, response: web.StreamResponse) -> None:
    """Take the session cookie back. The caller deletes the row."""
    _set(request, response, SESSION, "", max_age=0)


# --- forms ----------------------------------------------------------------------------------


def form_token(request: web.Request, *, session: str | None = None) -> str:
    """The token for a form on this page; `show` sets the visitor cookie where it needs one.

    session: the token of a session this very answer begins, which the form will be sent with.
    """
    bound = session or session_token(request) or _visitor(request)
    payload = int(time.time() * 1000).to_bytes(7) + hash_secret(bound)[:16]
    return service(request).db.keys.token(Use.FORM, payload)


def check_form(request: web.Request, sent: Fields) -> None:
    """Raise NotOurForm unless it comes from our own page, in this browser, within twelve hours.

    `Sec-Fetch-Site` decides where the browser sends it; else `Origin`, which browsers set to `null`
    under our own Referrer-Policy, so that `null` proves nothing either way; the token decides always.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin", "null")
    if site not in (None, "same-origin", "none") or (site is None and not _is_ours(request, origin)):
        raise NotOurForm
    payload = service(request).db.keys.read_token(Use.FORM, sent.one(FORM_FIELD) or "")
    if payload is None or len(payload) != 23:
        raise NotOurForm
    age = time.time() - int.from_bytes(payload[:7]) / 1000
    cookies = (session_token(request), request.cookies.get(_name(request, VISITOR)))
    is_bound = any(
        secrets.compare_digest(hash_secret(cookie)[:16], payload[7:]) for cookie in cookies if cookie
    )
    if not is_bound or age > FORM_GOOD_FOR_SECONDS:
        raise NotOurForm
    request[FORM_AGE] = age


def check_script(request: web.Request) -> None:
    """Raise NotOurForm unless a script of our own page sent it: for what no cookie gives any right to.

    A browser sends JSON to another origin only after asking it, and we never agree.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin", "null")
    if site != "same-origin" and (site is not None or origin == "null" or not _is_ours(request, origin)):
        raise NotOurForm


def form_age_seconds(request: web.Request) -> float:
    """How long the form that was just sent had stood on the screen."""
    return request[FORM_AGE]


def set_visitor(request: web.Request, response: web.StreamResponse) -> None:
    """Give the browser the cookie its form was bound to, if it is a new one."""
    if NEW_VISITOR in request:
        _set(request, response, VISITOR, request[NEW_VISITOR].token, max_age=None)


def _visitor(request: web.Request) -> str:
    known = request.cookies.get(_name(request, VISITOR))
    if known:
        return known
    if NEW_VISITOR not in request:
        request[NEW_VISITOR] = NewVisitor(token=secrets.token_urlsafe(24))
    return request[NEW_VISITOR].token


def _is_ours(request: web.Request, origin: str) -> bool:
    if origin == "null":
        return True
    given, ours = urlsplit(origin), urlsplit(settings(request).public_url)
    return given.netloc in (ours.netloc, request.host) and given.scheme in (ours.scheme, request.scheme)


def _name(request: web.Request, name: str) -> str:
    return f"__Host-{name}" if _is_secure(request) else name


def _is_secure(request: web.Request) -> bool:
    return settings(request).public_url.startswith("https://")


def _set(
    request: web.Request, response: web.StreamResponse, name: str, value: str, *, max_age: int | None
) -> None:
    response.set_cookie(
        _name(request, name),
        value,
        path="/",
        httponly=True,
        secure=_is_secure(request),
        samesite="Lax",
        max_age=max_age,
    )
