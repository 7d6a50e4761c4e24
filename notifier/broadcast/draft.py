"""Drafts: checked, kept, changed until approval. Called by the desk, the API and `messages send`."""

import hashlib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update

from channels.base import Medium
from notifier.broadcast import narrow
from notifier.broadcast.kinds import lane_of
from notifier.broadcast.narrow import Narrow
from notifier.db import Tx
from notifier.delivery.numbers import asks_for_replies, can_ask
from notifier.errors import Conflict, Invalid, NotFound
from notifier.models import Kind, Message, MessageArea, MessageState, MessageText, MessageTopic
from subscribers.dialects import insert_for
from subscribers.models import Area, Topic, new_id
from templates import render

TITLE_LIMIT, BODY_LIMIT, REASON_LIMIT = 120, 10_000, 300
NO_REPLIES = (
    "Texts of this team come from a name that cannot take replies, and this message asks for them. "
    "Leave texts out, or ask whoever runs the service for a number that takes replies."
)
MEDIA = (Medium.EMAIL, Medium.SMS, Medium.PUSH, Medium.SOCIAL)


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What an officer wrote. texts: language → (title, body). media: `email`, `sms`, `push`, `social`.

    form_key: the author's own key for this form, so that a double click makes one message.
    expires_at: after it the words are of no use. override_reason: why quiet hours and limits do not hold for it.
    narrow: whom of those who follow these places; None: as the draft has it already, or all of them.
    corrects_id: goes to exactly those who got that message; see `correct`, which fills in what it takes from it.
    """

    kind: str
    texts: Mapping[str, tuple[str, str]]
    areas: tuple[str, ...]
    media: tuple[str, ...]
    topics: tuple[str, ...] = ()
    send_at: datetime | None = None
    reply_by: datetime | None = None
    consultation_id: UUID | None = None
    expires_at: datetime | None = None
    override_reason: str = ""
    corrects_id: UUID | None = None
    narrow: Narrow | None = None
    form_key: str = ""


@dataclass
class _Faults:
    """One sentence for each field that needs mending; the first one found counts."""

    fields: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, sentence: str) -> None:
        self.fields.setdefault(name, sentence)


def check(draft: Draft, *, now: datetime, carriers: Mapping[str, str]) -> None:
    """Refuse what could not be sent. Pure. Raises Invalid with a sentence for each field."""
    faults = _Faults()
    if draft.kind not in set(Kind):
        faults.add("kind", "Choose what kind of message this is.")
    if not draft.areas:
        faults.add("areas", "Choose at least one area.")
    _check_media(draft, carriers, faults)
    for language, (title, body) in draft.texts.items():
        _check_text(language, title, body, faults)
    if "en" not in draft.texts:
        faults.add("title", "Write the message in English; other languages come beside it.")
    _check_times(draft, now, faults)
    for name, sentence in narrow.check(draft.narrow or Narrow()).items():
        faults.add(name, sentence)
    if len(draft.override_reason) > REASON_LIMIT:
        faults.add("override_reason", f"Shorten the reason to {REASON_LIMIT} characters.")
    if faults.fields:
        raise Invalid(faults.fields)


async def save(tx: Tx, draft: Draft, *, team: UUID, author: UUID | None, message: UUID | None = None) -> UUID:
    """Keep a draft, new or changed; its id. The same form_key gives the same message.

    Raises Invalid, NotFound (no such draft of this team), Conflict (no longer a draft).
    """
    check(draft, now=tx.now, carriers=tx.carriers)
    await _check_known(tx, draft)
    if (
        Medium.SMS in draft.media
        and asks_for_replies(draft.kind, draft.reply_by)
        and not await can_ask(tx, team)
    ):
        raise Invalid({"media": NO_REPLIES})
    kind = Kind(draft.kind)
    values = {
        "kind": kind,
        "lane": lane_of(kind),
        "send_at": draft.send_at,
        "expires_at": draft.expires_at,
        "reply_by": draft.reply_by,
        "consultation_id": draft.consultation_id,
        "override_reason": " ".join(draft.override_reason.split()) or None,
        "corrects_id": draft.corrects_id,
        "approved_by": None,  # whoever approved other words has not approved these
        "criteria": {
            "areas": list(draft.areas),
            "topics": [] if kind is Kind.ALERT else list(draft.topics),
            "media": list(draft.media),
            **await _narrowed(tx, draft, message),
        },
    }
    if draft.corrects_id:
        values |= await _of_corrected(tx, draft.corrects_id, team)
    id_ = (
        await _change(tx, message, team, values) if message else await _make(tx, draft, team, author, values)
    )
    await _write_texts(tx, id_, draft)
    return id_


def content_hash(title: str, body: str) -> bytes:
    """By which the same words are known again."""
    return hashlib.sha256(f"{title.strip()}\0{body.strip()}".encode("utf-8", "surrogatepass")).digest()


def _check_media(draft: Draft, carriers: Mapping[str, str], faults: _Faults) -> None:
    if not draft.media:
        faults.add("media", "Choose how it should go out: email, text, notification or post.")
    for medium in draft.media:
        if medium not in MEDIA:
            faults.add("media", f"There is no way to send by “{medium}”.")
        elif medium not in carriers:
            faults.add("media", f"No channel for {medium} is set up here.")


def _check_text(language: str, title: str, body: str, faults: _Faults) -> None:
    suffix = "" if language == "en" else f"_{language}"
    if not _visible(title):
        faults.add(f"title{suffix}", "Write a title.")
    if len(title) > TITLE_LIMIT:
        faults.add(f"title{suffix}", f"Shorten the title to {TITLE_LIMIT} characters; it has {len(title)}.")
    if any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in title):
        faults.add(f"title{suffix}", "Remove line breaks from the title.")
    if not _visible(body):
        faults.add(f"body{suffix}", "Write the message.")
    if len(body) > BODY_LIMIT:
        faults.add(
            f"body{suffix}", f"Shorten the message to {BODY_LIMIT:,} characters; it has {len(body):,}."
        )
    for sentence in render.check_text(title):
        faults.add(f"title{suffix}", sentence)
    for sentence in render.check_text(body[:BODY_LIMIT]):
        faults.add(f"body{suffix}", sentence)


def _check_times(draft: Draft, now: datetime, faults: _Faults) -> None:
    start = draft.send_at or now
    if draft.send_at and draft.send_at <= now:
        faults.add("send_at", "Choose a time still to come, or send it now.")
    if draft.send_at and (draft.send_at - now).days > 366:
        faults.add("send_at", "Choose a time within the next year.")
    if draft.expires_at and draft.expires_at <= start:
        faults.add("expires_at", "Choose a time after the message goes out.")
    if draft.reply_by and draft.reply_by <= start:
        faults.add("reply_by", "Choose a reply-by time after the message goes out.")
    if draft.kind == Kind.CONSULTATION and draft.reply_by is None:
        faults.add("reply_by", "Say by when people should reply.")


def _visible(text: str) -> str:
    return "".join(c for c in text if unicodedata.category(c) not in ("Cf", "Cc", "Zs", "Zl", "Zp"))


async def _check_known(tx: Tx, draft: Draft) -> None:
    known = set((await tx.execute(select(Area.code).where(Area.code.in_(draft.areas)))).scalars())
    if unknown := [code for code in draft.areas if code not in known]:
        raise Invalid({"areas": f"There is no area {unknown[0]}."})
    topics = set((await tx.execute(select(Topic.slug).where(Topic.slug.in_(draft.topics)))).scalars())
    if unknown := [slug for slug in draft.topics if slug not in topics]:
        raise Invalid({"topics": f"There is no topic “{unknown[0][:40]}”."})


async def _narrowed(tx: Tx, draft: Draft, message: UUID | None) -> dict[str, Any]:
    """A form that does not ask for it must not widen what the API narrowed."""
    if draft.narrow is not None:
        return await narrow.store(tx, draft.narrow, areas=draft.areas)
    stored = await tx.scalar(select(Message.criteria).where(Message.id == message)) if message else None
    return narrow.part_of(stored or {})


async def _of_corrected(tx: Tx, original: UUID, team: UUID) -> dict[str, Any]:
    """A correction goes in the lane of what it corrects, and names the same places."""
    row = (
        await tx.execute(
            select(Message.lane, Message.criteria).where(Message.id == original, Message.team_id == team)
        )
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such message to correct.")
    return {"lane": row.lane, "criteria": row.criteria}


async def _make(tx: Tx, draft: Draft, team: UUID, author: UUID | None, values: dict[str, Any]) -> UUID:
    made = new_id()
    key = draft.form_key or str(made)
    stored = await tx.execute(
        insert_for(tx, Message)
        .on_conflict_do_nothing(index_elements=["team_id", "author_id", "form_key"])
        .values(
            id=made,
            team_id=team,
            author_id=author,
            form_key=key,
            state=MessageState.DRAFT,
            created_at=tx.now,
            **values,
        )
    )
    if stored.rowcount:
        return made
    existing: UUID = await tx.scalar(
        select(Message.id).where(
            Message.team_id == team, Message.author_id == author, Message.form_key == key
        )
    )
    return await _change(tx, existing, team, values)


async def _change(tx: Tx, message: UUID, team: UUID, values: dict[str, Any]) -> UUID:
    changed = await tx.execute(
        update(Message)
        .where(Message.id == message, Message.team_id == team, Message.state == MessageState.DRAFT)
        .values(**values)
    )
    if changed.rowcount:
        return message
    if await tx.scalar(select(func.count()).where(Message.id == message, Message.team_id == team)):
        raise Conflict("This message has been approved already; its words can no longer change.")
    raise NotFound("There is no such message.")


async def _write_texts(tx: Tx, message: UUID, draft: Draft) -> None:
    for table in (MessageText, MessageArea, MessageTopic):
        await tx.execute(delete(table).where(table.message_id == message))
    texts = [
        {
            "message_id": message,
            "language": language,
            "title": title.strip(),
            "body": body.strip(),
            "content_hash": content_hash(title, body),
        }
        for language, (title, body) in draft.texts.items()
    ]
    await tx.execute(insert(MessageText), texts)
    await tx.execute(insert(MessageArea), [{"message_id": message, "area_code": c} for c in set(draft.areas)])
    if draft.topics and draft.kind != Kind.ALERT:
        topics = [{"message_id": message, "topic_slug": slug} for slug in set(draft.topics)]
        await tx.execute(insert(MessageTopic), topics)
