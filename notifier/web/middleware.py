"""What stands around every handler, outermost first: the log line and its count, security headers,
errors made into answers, checks of the request's shape, and the proof that a form is ours.

The one place, with the worker, where any Exception is caught: nobody outside ever sees its words.
"""

import secrets
import time
import unicodedata
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from traceback import extract_tb

import structlog
from aiohttp import web
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from notifier.errors import Conflict, Invalid, NotAllowed, NotFound, ServiceError, Unavailable
from notifier.web.answers import problem
from notifier.web.forms import fields
from notifier.web.health import count
from notifier.web.service import settings
from notifier.web.session import check_form, check_script

log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
WITHOUT_FORMS = ("/hooks/", "/api/")  # signed, or with a bearer token: no cookie gives them any right
BY_SCRIPT = ("/areas/", "/push/")  # notifications of a device: JSON that brings its own proof, and no cookie
ONE_CLICK = ("/unsubscribe/", "List-Unsubscribe", "One-Click")  # RFC 8058 section 3.2: no cookie, no token
# Mail comes to the first two. A call without its signature is refused by its kind as soon as it is there.
BODY_LIMITS = {
    "/hooks/email/": 26 * 1024**2,
    "/hooks/email_": 26 * 1024**2,
    "/hooks/": 1024**2,
    "/api/": 1024**2,
    "/desk/": 512 * 1024,
    **dict.fromkeys(BY_SCRIPT, 8 * 1024),
}
LONGEST_PART = 400  # of a path: our longest token has 256 characters

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; connect-src 'self'; manifest-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "notifier",
}

STATUS: Mapping[type[ServiceError], int] = {
    NotFound: HTTPStatus.NOT_FOUND,
    NotAllowed: HTTPStatus.FORBIDDEN,
    Conflict: HTTPStatus.CONFLICT,
    Invalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}


@web.middleware
async def log_access(request: web.Request, handler: Handler) -> web.StreamResponse:
    """One line and one count for each request; the route's pattern, never the path, which may hold a token."""
    began = time.perf_counter()
    response = await handler(request)
    seconds = time.perf_counter() - began
    resource = request.match_info.route.resource
    route = resource.canonical if resource else "none"
    count(request, route=route, status=response.status, seconds=seconds)
    log.info(
        "request", method=request.method, route=route, status=response.status, ms=round(seconds * 1000, 1)
    )
    return response


@web.middleware
async def add_headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Security headers on every answer; a handler that must differ sets its own before."""
    response = await handler(request)
    if not response.prepared:  # a stream has sent its headers already, and set them itself
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if settings(request).public_url.startswith("https://"):
            response.headers.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
    return response


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every way a request can fail, as a page, a problem in JSON, or (hooks) an empty answer."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        kept = {
            name: error.headers[name]
            for name in ("Allow", "Retry-After", "WWW-Authenticate")
            if name in error.headers
        }
        said = error.text if error.text and not error.text.startswith(f"{error.status}:") else ""
        return problem(request, error.status, said, headers=kept)
    except Invalid as error:
        return problem(request, STATUS[Invalid], str(error), fields=error.fields)
    except ServiceError as error:
        status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
        return problem(request, status, str(error))
    except Exception as error:
        if isinstance(error, ConnectionError) and request.transport is None:
            return problem(request, HTTPStatus.BAD_REQUEST)  # they left before all had come; nobody reads it
        if is_out_of_reach(error):
            log.warning("database_out_of_reach", error=type(error).__name__)
            return problem(request, HTTPStatus.SERVICE_UNAVAILABLE)
        reference = secrets.token_hex(4)
        log.error("request_failed", reference=reference, error=type(error).__name__, at=_frames(error))  # noqa: TRY400  # its words stay out
        return problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, reference=reference)


def is_out_of_reach(error: BaseException) -> bool:
    """Is it the database or the network that is away, and not we who are wrong?

    SQLSTATE classes (PostgreSQL, appendix A): 08 connection, 53 resources, 57 operator intervention.
    """
    state = str(getattr(getattr(error, "orig", error), "sqlstate", "") or "")
    return isinstance(
        error, OperationalError | InterfaceError | PoolTimeout | ConnectionError | TimeoutError
    ) or state.startswith(("08", "53", "57"))


@web.middleware
async def check_shape(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A path that no link of ours has is 404; a body may be as long as its route allows."""
    if any(len(part) > LONGEST_PART or _has_controls(part) for part in request.match_info.values()):
        raise web.HTTPNotFound
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise web.HTTPUnsupportedMediaType(text="Send the body without compression.")
    limit = next((size for start, size in BODY_LIMITS.items() if request.path.startswith(start)), None)
    return await handler(request if limit is None else request.clone(client_max_size=limit))


@web.middleware
async def check_forms(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever changes something must carry the token of one of our own forms."""
    if request.method in SAFE_METHODS or request.path.startswith(WITHOUT_FORMS):
        return await handler(request)
    if request.match_info.http_exception is not None:
        return await handler(request)  # no such page, or not by this method: nothing will be changed
    if request.path.startswith(BY_SCRIPT) and request.content_type == "application/json":
        check_script(request)
        return await handler(request)
    sent = await fields(request)
    path, name, value = ONE_CLICK
    if not (request.path.startswith(path) and list(sent.get(name, ())) == [value]):
        check_form(request, sent)
    return await handler(request)


def _frames(error: BaseException) -> list[str]:
    """Where it happened. Not what it says: the words of a database error hold what residents sent."""
    return [
        f"{f.filename.rpartition('/')[2]}:{f.lineno} {f.name}" for f in extract_tb(error.__traceback__)[-8:]
    ]


def _has_controls(text: str) -> bool:
    return any(unicodedata.category(character) in ("Cc", "Cs") for character in text)


MIDDLEWARES = (log_access, add_headers, answer_errors, check_shape, check_forms)
