"""`/demo/outbox`: the newest messages as residents see them, each with "reply as this resident".

A reply goes in by the doors that real ones come by: stored raw, then threaded and routed by the worker.
"""

import asyncio
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from http import HTTPStatus
from pathlib import Path

from aiohttp import web

from channels.base import Incoming, Medium
from channels.email_smtp import message_id
from channels.outbox import Kept, read_box, read_one
from notifier.config import Settings
from notifier.inbox import receive
from notifier.web.context import see_other, show
from notifier.web.demo.access import require_demo
from notifier.web.desk.frames import framed, with_frames
from notifier.web.forms import Filled, Form, fields, query
from notifier.web.service import database, service, settings

SHOWN, READ = 20, 2_000
LONGEST_REPLY = 5_000
CHANNEL = "outbox"
_ADDRESS = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:!?)]")


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Words, with the address they open where they are a link of ours."""

    words: str
    href: str = ""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One message with its words cut at its links."""

    kept: Kept
    pieces: Sequence[Piece]


async def page(request: web.Request) -> web.Response:
    """GET: the newest first; `?to=` shows those of one person alone."""
    require_demo(request)
    asked = query(request)
    return await _show(request, to=asked.one("to") or "", is_replied="replied" in asked)


async def mail(request: web.Request) -> web.Response:
    """GET: a mail's own HTML, for its frame."""
    require_demo(request)
    kept = await _one(request)
    if kept.medium is not Medium.EMAIL:
        raise web.HTTPNotFound
    return framed(kept.words.html)


async def reply(request: web.Request) -> web.Response:
    """POST: write back as the person who got it."""
    require_demo(request)
    sent, kept = await fields(request), await _one(request)
    text = (sent.one("text") or "").replace("\r\n", "\n").strip()
    if not text or len(text) > LONGEST_REPLY:
        wrong = "Write a reply" if not text else f"Shorten it to {LONGEST_REPLY:,} characters"
        form: Filled[Form] = Filled(typed=sent, errors={f"text-{kept.attempt}": wrong})
        return await _show(request, to=kept.to, form=form, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    async with database(request).transaction() as tx:
        channel, event = as_incoming(kept, text, settings(request), now=tx.now, name=secrets.token_hex(12))
        await receive.store(tx, channel, event)
    return see_other("/demo/outbox?replied=yes")


def as_incoming(kept: Kept, text: str, known: Settings, *, now: datetime, name: str) -> tuple[str, Incoming]:
    """The reply as it comes in, and by which channel. name: a new one, for ids. Pure."""
    if kept.medium is Medium.EMAIL:
        raw = _mail_back(kept, text, known, now=now, name=name)
        to = kept.reply_to or f"reply@{known.mail_domain}"
        return receive.MAIL, receive.mail_event(raw, mail_from=kept.to, recipients=[to])
    event = Incoming(
        event_id=name,
        medium=kept.medium,
        sender=kept.to,
        recipient=kept.sender,
        text=text,
        at=now,
        raw=text.encode("utf-8", "replace"),
    )
    return CHANNEL, event


def _mail_back(kept: Kept, text: str, known: Settings, *, now: datetime, name: str) -> bytes:
    """What a mail program would send: threaded, with the words it answers quoted below."""
    mail = EmailMessage()
    mail["From"] = kept.to
    mail["To"] = kept.reply_to or f"reply@{known.mail_domain}"
    mail["Subject"] = "Re: " + " ".join(kept.words.subject.split())
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{name}@{kept.to.rpartition('@')[2]}>"
    before = message_id(kept.delivery, known.mail_domain)
    mail["In-Reply-To"] = before
    mail["References"] = before
    quoted = "\n".join(f"> {line}" for line in kept.words.text.strip().splitlines())
    said = f"On {kept.at:%d %b %Y at %H:%M}, {kept.words.sender_name} <{mail['To']}> wrote:"
    mail.set_content(f"{text}\n\n{said}\n{quoted}\n")
    return mail.as_bytes()


def pieces_of(text: str, public_url: str) -> list[Piece]:
    """The text cut at its links of ours; others are shown as words. Pure."""
    pieces, end = [], 0
    for found in _ADDRESS.finditer(text):
        if not found[0].startswith(f"{public_url}/"):
            continue
        pieces += [Piece(words=text[end : found.start()]), Piece(words=found[0], href=found[0])]
        end = found.end()
    pieces.append(Piece(words=text[end:]))
    return [piece for piece in pieces if piece.words]


async def _show(
    request: web.Request,
    *,
    to: str,
    form: Filled[Form] | None = None,
    status: int = HTTPStatus.OK,
    is_replied: bool = False,
) -> web.Response:
    found = await asyncio.to_thread(read_box, _folder(request), READ if to else SHOWN)
    mine = [kept for kept in found if not to or kept.to == to][:SHOWN]
    shown = [
        Shown(kept=kept, pieces=pieces_of(kept.words.text.strip(), settings(request).public_url))
        for kept in mine
    ]
    context = {"shown": shown, "to": to, "is_replied": is_replied}
    return with_frames(show(request, "demo/outbox.html", status=status, form=form or Filled(), **context))


async def _one(request: web.Request) -> Kept:
    kept = await asyncio.to_thread(read_one, _folder(request), request.match_info["attempt"])
    if kept is None:
        raise web.HTTPNotFound
    return kept


def _folder(request: web.Request) -> Path:
    return Path(service(request).environment.for_channels()["NOTIFIER_OUTBOX_DIR"])


_PATH = "/demo/outbox"
ROUTES = [
    web.get(_PATH, page),
    web.get(f"{_PATH}/{{attempt}}/email", mail),
    web.post(f"{_PATH}/{{attempt}}/reply", reply),
]
