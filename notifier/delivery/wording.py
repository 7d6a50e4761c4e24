"""The words of a message or notice: read from its rows, with who they are from, and rendered by its templates.

Preview, rehearsal and sending all go through here, so that what an officer saw is what leaves. `content` compiles them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import select

from channels.base import Channel, Content, Medium
from notifier.config import Settings
from notifier.db import Tx
from notifier.delivery import marks
from notifier.delivery.marks import Marks
from notifier.delivery.numbers import NO_SENDERS, Senders, asks_for_replies, may_send_from, senders_of
from notifier.models import Delivery, Message, MessageText, Notice, NoticeKind, Team
from subscribers.models import Area
from templates import render

VARIABLES = "notices.variables"


@dataclass(frozen=True, kw_only=True)
class Words:
    """What a template needs, who the message is from, and how its mail is marked.

    senders: what it may come from as a text. asks: it asks for replies.
    """

    template: str
    variables: Mapping[str, Any]
    language: str
    senders: Senders = NO_SENDERS
    asks: bool = False
    notice_kind: NoticeKind | None = None
    marks: Marks = ()


async def words_of_message(
    tx: Tx, message: UUID, language: str, medium: Medium, settings: Settings, *, channel: str = ""
) -> Words:
    """The frozen words of a message in a language (English where it has no other).

    channel: the one that carries them, where it is not the medium's first.
    """
    row = (
        await tx.execute(
            select(
                Message.kind,
                Message.reply_by,
                Message.criteria,
                Message.team_id,
                Team.name.label("team"),
                Team.slug,
            )
            .join(Team, Team.id == Message.team_id)
            .where(Message.id == message)
        )
    ).one()
    texts = (await tx.execute(select(MessageText).where(MessageText.message_id == message))).all()
    text = next((t for t in texts if t.language == language), None) or next(
        t for t in texts if t.language == "en"
    )
    senders = await _senders(tx, row.team_id, medium, channel, settings)
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
        "can_reply": medium is Medium.EMAIL or (medium is Medium.SMS and senders.can_reply),
        "team_url": f"{settings.public_url}/areas/{codes[0]}",
        "message_url": f"{settings.public_url}/areas/{codes[0]}#m-{message}",
        "service_name": settings.service_name,
        "force_name": settings.force_name,
    }
    asks = asks_for_replies(row.kind, row.reply_by)
    return Words(
        template="message",
        variables=variables,
        language=text.language,
        senders=senders,
        asks=asks,
        marks=marks.of_message(
            message, row.kind, team_name=row.team, team_slug=row.slug, domain=settings.mail_domain
        ),
    )


async def _senders(tx: Tx, team: UUID | None, medium: Medium, channel: str, settings: Settings) -> Senders:
    """What it may come from where it is a text: nothing is read for other media."""
    if medium is not Medium.SMS:
        return NO_SENDERS
    return await senders_of(tx, team, channel or tx.carriers.get(medium, ""), default=settings.sms_numbers)


async def words_of_notice(
    tx: Tx, notice: UUID | None, medium: Medium, channel: str, settings: Settings
) -> Words:
    """A text that answers one comes from the number they wrote to, where its channel has that."""
    row = (
        await tx.execute(
            select(Notice, Team.name.label("team"))
            .outerjoin(Team, Team.id == Notice.team_id)
            .where(Notice.id == notice)
        )
    ).one()
    given = json.loads(tx.keys.open_text(VARIABLES, row.id, row.variables_sealed))
    if row.kind == NoticeKind.DIGEST:
        given["items"] = await _still_within(tx, row.id, given["items"])
    number = str(given.get("from_number") or "") if medium is Medium.SMS else ""
    if number and await may_send_from(tx, number, channel):
        senders = Senders(addresses=(number,))
    else:
        senders = await _senders(tx, row.team_id, medium, channel, settings)
    frame = {"service_name": settings.service_name, "force_name": settings.force_name}
    if row.team:
        frame["team_name"] = row.team
    return Words(
        template=row.template,
        variables=frame | given,
        language=row.language,
        senders=senders,
        notice_kind=NoticeKind(row.kind),
        marks=marks.of_digest(settings.service_name, domain=settings.mail_domain)
        if row.kind == NoticeKind.DIGEST
        else (),
    )


async def _still_within(tx: Tx, digest: UUID, items: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """The items of a digest whose messages were not taken out of it since it was planned.

    Items that name no message were planned by an earlier release.
    """
    rows = await tx.execute(select(Delivery.message_id).where(Delivery.digest_notice_id == digest))
    within = {str(message) for message in rows.scalars()}
    return [item for item in items if item.get("message") in within or "message" not in item]


def content_of(words: Words, medium: Medium, channel: Channel) -> Content:
    """Render a template, holes and all; a post as long as its channel takes. Pure."""
    make = partial(render.notice, words.template)
    if words.template == "message":
        make = partial(render.message, fits=partial(fits, channel))
    content = make(medium, words.language, words.variables)
    return replace(content, headers=words.marks) if medium is Medium.EMAIL else content


def fits(channel: Channel, content: Content) -> bool:
    """Is there room for it on the channel, by the channel's own count? Pure."""
    found = channel.estimate(content)
    return found.limit is None or found.length <= found.limit
