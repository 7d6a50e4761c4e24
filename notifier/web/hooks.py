"""Where providers call us: each channel's hook, and whole mails signed by whoever passes them on.

What is signed is stored and committed before it is answered; what cannot be read is quarantined and
answered all the same, so that nobody sends it for ever. Unsigned calls get an empty 403 before any work.
"""

import hmac
import time
from collections.abc import Sequence

import structlog
from aiohttp import web

from channels.base import Event, HookReply, HookRequest, Medium, TakesHooks
from channels.errors import BadHook, CannotVerify
from notifier.config import Settings
from notifier.db import Tx
from notifier.inbox import events as events_in
from notifier.inbox import receive
from notifier.web.service import database, service, settings

log = structlog.get_logger()

SIGNATURE = "X-Notifier-Signature"
GOOD_FOR_SECONDS = 300
MOST_SIGNATURES = 5


async def channel_hook(request: web.Request) -> web.Response:
    """POST /hooks/{channel}: verify, read, store in one transaction, answer."""
    name = request.match_info["channel"]
    channel = service(request).channels.get(name)
    if not isinstance(channel, TakesHooks):
        raise web.HTTPNotFound
    call = HookRequest(
        url=f"{settings(request).public_url}{request.path_qs}",
        headers=dict(request.headers),
        body=await request.read(),
    )
    try:
        is_theirs = await channel.verify(call)
    except CannotVerify as error:  # a provider takes a 403 for the last word
        log.warning("hook_not_checked", channel=name)
        raise web.HTTPServiceUnavailable from error
    if not is_theirs:
        log.warning("hook_refused", channel=name)
        raise web.HTTPForbidden
    try:
        events: Sequence[Event] = channel.parse(call)
    except BadHook as error:
        await _quarantine(request, name, call, str(error))
        return _reply(channel.answer())
    # The channel's fault: what came is kept for a person, and the provider does not repeat it until it gives up.
    except Exception as error:
        log.exception("hook_failed", channel=name, error=type(error).__name__)
        await _quarantine(request, name, call, f"reading it failed: {type(error).__name__}")
        return _reply(channel.answer())

    async def keep(tx: Tx) -> None:
        for event in events:
            await events_in.keep(tx, name, event)

    await database(request).attempt(keep, point="C7")  # a provider need not know of our deadlocks
    return _reply(channel.answer())


async def raw_mail(request: web.Request) -> web.Response:
    """POST /hooks/email/raw: a whole mail (RFC 5322), signed with a key of NOTIFIER_HOOK_KEYS."""
    body = await request.read()
    if not is_signed(request.headers.getall(SIGNATURE, []), body, settings(request), now=time.time()):
        log.warning("hook_refused", channel="email")
        raise web.HTTPForbidden
    async with database(request).transaction(point="C7") as tx:
        await receive.store(tx, receive.MAIL, receive.mail_event(body))
    return web.Response(status=202)


def is_signed(headers: Sequence[str], body: bytes, settings: Settings, *, now: float) -> bool:
    """Does one header `t=UNIX,v1=HEX` hold a MAC of `t.body` under one of our keys, made within 5 minutes?

    Several v1 stand for several keys of the sender. Constant time in every MAC. Pure.
    """
    if len(headers) != 1 or not headers[0].isascii():
        return False
    pairs = [part.strip().partition("=") for part in headers[0].split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    given = [value.lower() for name, _, value in pairs if name == "v1"][:MOST_SIGNATURES]
    if len(times) != 1 or not times[0].isdigit() or len(times[0]) > 12:
        return False
    if abs(now - int(times[0])) > GOOD_FOR_SECONDS:
        return False
    signed = times[0].encode() + b"." + body
    wanted = [hmac.digest(key.encode(), signed, "sha256").hex() for key in settings.hook_keys]
    matches = [hmac.compare_digest(ours, theirs) for ours in wanted for theirs in given]
    return any(matches)


async def _quarantine(request: web.Request, name: str, call: HookRequest, reason: str) -> None:
    channel = service(request).channels[name]
    medium = next(iter(sorted(channel.capabilities.media)), Medium.SMS)
    async with database(request).transaction() as tx:
        await receive.quarantine(tx, name, medium, call, reason)
    log.warning("hook_unreadable", channel=name)


def _reply(reply: HookReply) -> web.Response:
    return web.Response(status=reply.status, body=reply.body, headers={"Content-Type": reply.content_type})


ROUTES = [web.post("/hooks/email/raw", raw_mail), web.post("/hooks/{channel}", channel_hook)]
