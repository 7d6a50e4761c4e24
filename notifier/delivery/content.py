"""The words of a delivery, ready to send: loaded once, compiled once for a message, language and channel.

Preview and sending both go through `words_of_message` and `templates.render`, so that what an
officer saw is what leaves. Values that differ from person to person are filled in at the last moment.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import select

from channels.base import Content, Medium, Outgoing, Prepared, hole
from channels.registry import Channels
from notifier.config import Settings
from notifier.db import Tx
from notifier.delivery.claim import Started
from notifier.delivery.tokens import (
    attempt_token,
    bounce_address,
    delivery_token,
    manage_url,
    reply_address,
    unsubscribe_url,
)
from notifier.models import Lane, Message, MessageText, Notice, NoticeKind, Team, TeamContactPoint, TeamUse
from subscribers.contact_points import ADDRESS
from subscribers.models import Area, ContactPoint
from subscribers.signing import Keys
from templates import render

KEPT = 256  # compiled messages kept in the process
VARIABLES = "notices.variables"


@dataclass(frozen=True, kw_only=True)
class Words:
    """What a template needs, who the message is from, and how its mail is marked."""

    template: str
    variables: Mapping[str, Any]
    language: str
    sender_number: str = ""
    notice_kind: NoticeKind | None = None


@dataclass(frozen=True, kw_only=True)
class Ready:
    """Compiled words, the words they came from, and what one copy costs."""

    prepared: Prepared
    words: Words
    parts: int
    pence: float


class Contents:
    """Compiled words of the messages in flight. One for a worker; safe to lose at any time."""

    def __init__(self, settings: Settings, channels: Channels, keys: Keys) -> None:
        self._settings, self._channels, self._keys = settings, channels, keys
        self._ready: OrderedDict[tuple[Any, ...], Ready] = OrderedDict()

    async def load(self, tx: Tx, started: Sequence[Started]) -> dict[int, Words]:
        """The words of each delivery that is not compiled yet, by delivery id."""
        found: dict[tuple[Any, ...], Words] = {}
        for delivery in started:
            key = _key(delivery)
            if key not in self._ready and key not in found:
                found[key] = await self._words(tx, delivery)
        return {d.id: found[_key(d)] for d in started if _key(d) in found}

    def ready(self, delivery: Started, words: Words | None) -> Ready:
        """The compiled words, and what a copy costs: reckoned once, for personal values are of one length.

        Raises what a template or channel raises on words it cannot carry.
        """
        return self._compiled(delivery, words)

    def outgoing(self, delivery: Started, words: Words | None) -> Outgoing:
        """One recipient's copy. Raises what a template or channel raises on words it cannot carry."""
        ready = self._compiled(delivery, words)
        settings, keys, medium = self._settings, self._keys, Medium(delivery.medium)
        values = self._values(delivery)
        is_mail = medium is Medium.EMAIL
        return Outgoing(
            attempt=attempt_token(keys, delivery.id, delivery.number),
            delivery=delivery_token(keys, delivery.id),
            to=delivery.address,
            prepared=ready.prepared,
            values=values,
            sender=ready.words.sender_number if medium is Medium.SMS else "",
            reply_to=reply_address(keys, delivery.id, settings.mail_domain) if is_mail else "",
            return_path=bounce_address(keys, delivery.id, settings.mail_domain) if is_mail else "",
            headers=_headers(ready.words, values) if is_mail else {},
            urgent=delivery.lane is Lane.URGENT,
        )

    def _values(self, delivery: Started) -> dict[str, str]:
        """What differs from person to person, by the name of its hole."""
        keys, url = self._keys, self._settings.public_url
        return {
            "manage_url": manage_url(keys, url, delivery.contact_point_id, delivery.link_version),
            "unsubscribe_url": unsubscribe_url(keys, url, delivery.contact_point_id, delivery.link_version),
        }

    async def _words(self, tx: Tx, delivery: Started) -> Words:
        if delivery.message_id is not None:
            return await words_of_message(
                tx, delivery.message_id, delivery.language, Medium(delivery.medium), self._settings
            )
        return await _words_of_notice(tx, delivery.notice_id, self._settings)

    def _compiled(self, delivery: Started, words: Words | None) -> Ready:
        key = _key(delivery)
        if key in self._ready:
            self._ready.move_to_end(key)
            return self._ready[key]
        if words is None:
            raise KeyError(key)
        channel, content = self._channels[delivery.channel], content_of(words, Medium(delivery.medium))
        estimate = channel.estimate(_with_values(content, self._values(delivery)))
        ready = Ready(
            prepared=channel.prepare(content), words=words, parts=estimate.parts, pence=estimate.cost_pence
        )
        if delivery.message_id is not None:
            self._ready[key] = ready
            while len(self._ready) > KEPT:
                self._ready.popitem(last=False)
        return ready


def content_of(words: Words, medium: Medium) -> Content:
    """Render a template, holes and all. Pure."""
    if words.template == "message":
        return render.message(medium, words.language, words.variables)
    return render.notice(words.template, medium, words.language, words.variables)


def _with_values(content: Content, values: Mapping[str, str]) -> Content:
    """The text as one recipient gets it, to see how long it is."""
    text = content.text
    for name, value in values.items():
        text = text.replace(hole(name), value)
    return replace(content, text=text)


async def words_of_message(tx: Tx, message: UUID, language: str, medium: Medium, settings: Settings) -> Words:
    """The frozen words of a message in a language (English where it has no other)."""
    row = (
        await tx.execute(
            select(Message.kind, Message.reply_by, Message.criteria, Message.team_id, Team.name.label("team"))
            .join(Team, Team.id == Message.team_id)
            .where(Message.id == message)
        )
    ).one()
    texts = (await tx.execute(select(MessageText).where(MessageText.message_id == message))).all()
    text = next((t for t in texts if t.language == language), None) or next(
        t for t in texts if t.language == "en"
    )
    codes = row.criteria["areas"]
    names = (await tx.execute(select(Area.code, Area.name).where(Area.code.in_(codes)))).all()
    by_code = {area.code: area.name for area in names}
    variables = {
        "title": text.title,
        "body": text.body,
        "kind": row.kind,
        "team_name": row.team,
        "area_names": [by_code.get(code, code) for code in codes],
        "reply_by": render.long_date(row.reply_by, settings.zone, text.language) if row.reply_by else "",
        "can_reply": medium in (Medium.EMAIL, Medium.SMS),
        "team_url": f"{settings.public_url}/areas/{codes[0]}",
        "service_name": settings.service_name,
        "force_name": settings.force_name,
    }
    number = await team_number(tx, row.team_id, settings)
    return Words(template="message", variables=variables, language=text.language, sender_number=number)


async def team_number(tx: Tx, team: UUID | None, settings: Settings) -> str:
    """The number a team's texts come from: its own, else the service's first, else none."""
    default = settings.sms_numbers[0] if settings.sms_numbers else ""
    if team is None:
        return default
    row = (
        await tx.execute(
            select(ContactPoint.id, ContactPoint.address_sealed)
            .join(TeamContactPoint, TeamContactPoint.contact_point_id == ContactPoint.id)
            .where(
                TeamContactPoint.team_id == team,
                TeamContactPoint.use == TeamUse.SENDER,
                ContactPoint.medium == Medium.SMS,
            )
            .order_by(ContactPoint.id)
            .limit(1)
        )
    ).first()
    return tx.keys.open_text(ADDRESS, row.id, row.address_sealed) if row else default


async def _words_of_notice(tx: Tx, notice: UUID | None, settings: Settings) -> Words:
    row = (
        await tx.execute(
            select(Notice, Team.name.label("team"))
            .outerjoin(Team, Team.id == Notice.team_id)
            .where(Notice.id == notice)
        )
    ).one()
    given = json.loads(tx.keys.open_text(VARIABLES, row.id, row.variables_sealed))
    frame = {"service_name": settings.service_name, "force_name": settings.force_name}
    if row.team:
        frame["team_name"] = row.team
    return Words(
        template=row.template,
        variables=frame | given,
        language=row.language,
        sender_number=given.get("from_number") or await team_number(tx, row.team_id, settings),
        notice_kind=NoticeKind(row.kind),
    )


def _headers(words: Words, values: Mapping[str, str]) -> dict[str, str]:
    """How mail is marked: one-click unsubscribe (RFC 8058) for what goes to many, robot (RFC 3834) or answer."""
    kind = words.notice_kind
    if kind is None or kind is NoticeKind.DIGEST:
        return {
            "List-Unsubscribe": f"<{values['unsubscribe_url']}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        }
    if kind is NoticeKind.ANSWER:
        before = str(words.variables.get("in_reply_to") or "")
        references = str(words.variables.get("references") or before)
        return {"In-Reply-To": before, "References": references} if before else {}
    return {"Auto-Submitted": "auto-replied" if kind in _REPLIES else "auto-generated"}


_REPLIES = frozenset({NoticeKind.ACKNOWLEDGEMENT, NoticeKind.QUESTION, NoticeKind.HELP, NoticeKind.RECEIPT})


def _key(delivery: Started) -> tuple[Any, ...]:
    return (delivery.message_id, delivery.notice_id, delivery.language, delivery.channel, delivery.medium)
