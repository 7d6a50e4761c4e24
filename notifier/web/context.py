"""How a handler shows a page: `return show(request, "public/home.html", place=found)`.

A handler never writes HTML or an error page: it shows a template, or raises a ServiceError, which
the middleware turns into a page or, under /api/, into a problem in JSON.
"""

from http import HTTPStatus
from typing import Any

from aiohttp import web

from notifier.web.forms import EMPTY
from notifier.web.service import settings
from notifier.web.session import form_token, set_visitor
from notifier.web.static_files import asset
from templates.render import page


def show(request: web.Request, template: str, *, status: int = HTTPStatus.OK, **context: Any) -> web.Response:
    """One page. Besides what is given, every template knows:

    service_name, force_name, is_demo, path, zone, asset(name), form_token() and form (an empty one
    where none is given). Calling form_token() is what makes the page set its cookie.
    """
    known = settings(request)
    common = {
        "service_name": known.service_name,
        "force_name": known.force_name,
        "is_demo": known.demo,
        "path": request.path,
        "zone": known.zone,
        "asset": asset,
        "form_token": lambda: form_token(request),
        "form": EMPTY,
    }
    response = web.Response(
        text=page(template, common | context), status=status, content_type="text/html", charset="utf-8"
    )
    set_visitor(request, response)
    return response


def see_other(path: str) -> web.Response:
    """Send the browser on with GET after a form was acted on; `path` is one of our own."""
    if not path.startswith("/") or path.startswith("//"):
        raise ValueError("only our own pages are redirected to")
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": path})
