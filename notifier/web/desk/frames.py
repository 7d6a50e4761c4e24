"""A mail's own HTML inside one of our pages: at an address of its own, in a sandbox, under a strict policy.

Called by the preview and by the demo's outbox page.
"""

from aiohttp import web

from notifier.web.middleware import HEADERS

POLICY = "Content-Security-Policy"
FRAME_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'; sandbox allow-top-navigation-by-user-activation"
)


def with_frames(response: web.Response) -> web.Response:
    """Let a page show frames of our own."""
    response.headers[POLICY] = f"{HEADERS[POLICY]}; frame-src 'self'"
    return response


def framed(html: str) -> web.Response:
    """What stands in such a frame. Its links open in the whole window, as a press on them in a mail does."""
    body = html.replace("<head>", '<head><base target="_top">', 1)
    return web.Response(text=body, content_type="text/html", charset="utf-8", headers={POLICY: FRAME_POLICY})
