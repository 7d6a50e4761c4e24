"""The dates of an area as iCalendar (RFC 5545): until when people can have their say, and when they hear back.

Events, not tasks: many calendars do not show tasks that come by subscription. The end of a consultation is a moment,
which takes no time out of anybody's day; the day by which people hear back is a whole day.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Row, select

from notifier.config import Settings
from notifier.db import Tx
from notifier.models import Consultation, Message, MessageArea, MessageText
from notifier.web.public import places
from notifier.web.public.places import Place
from templates import feeds as words
from templates import render

PRODUCT = "-//Neighbourhood Link//Dates of an area//EN"
LONGEST_LINE = 75  # octets, without the line's end (section 3.1)
SHOWN_AFTER = timedelta(days=90)
MOST = 200


@dataclass(frozen=True, kw_only=True)
class Dated:
    """What stands in the calendar. uid: the same for ever, without its domain. at: a moment, or some time of a whole day.

    stamped: since when it stands as it does (of a calendar that is published, DTSTAMP says that: section 3.8.7.2).
    anchor: where on the area's page it is told of.
    """

    uid: str
    summary: str
    description: str
    at: datetime
    stamped: datetime
    anchor: str
    category: str
    is_whole_day: bool = False


async def dates_of(tx: Tx, place: Place) -> list[Dated]:
    """Of an area and the one it lies in, the earliest first; what is long over is left out."""
    codes, since = [place.code, place.within_code], tx.now - SHOWN_AFTER
    rows = await tx.execute(
        select(Consultation.__table__)
        .where(
            Consultation.area_code.in_(codes), Consultation.opens <= tx.now, Consultation.feedback_by > since
        )
        .order_by(Consultation.closes.desc())
        .limit(MOST)
    )
    found = [each for row in rows for each in _of_consultation(row)]
    asked = await tx.execute(
        select(Message.id, Message.reply_by, Message.published_at, MessageText.title, MessageText.body)
        .join(MessageText, (MessageText.message_id == Message.id) & (MessageText.language == "en"))
        .where(
            Message.id.in_(select(MessageArea.message_id).where(MessageArea.area_code.in_(codes))),
            places.is_published(tx.now),
            Message.reply_by > since,
            Message.consultation_id.is_(None),
        )
        .order_by(Message.reply_by.desc())
        .limit(MOST)
    )
    found += [_of_message(row) for row in asked]
    return sorted(found, key=lambda each: (each.at, each.uid))


def write(known: Settings, place: Place, dates: Sequence[Dated]) -> bytes:
    """The calendar. Pure."""
    page = f"{known.public_url}/areas/{place.code}"
    name = text(f"{place.name}: {known.service_name}")
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        f"PRODID:{PRODUCT}",
        "CALSCALE:GREGORIAN",
        f"NAME:{name}",
        f"X-WR-CALNAME:{name}",  # what most calendars read instead
        f"URL:{page}",
        "REFRESH-INTERVAL;VALUE=DURATION:PT6H",  # RFC 7986 section 5.7
        f"SOURCE;VALUE=URI:{page}.ics",
    ]
    for each in dates:
        lines += _event(known, page, each)
    lines.append("END:VCALENDAR")
    return b"".join(folded(line) for line in lines)


def text(value: str) -> str:
    """As a TEXT value (section 3.3.11): without control characters, commas, semicolons and backslashes marked."""
    plain = value.replace("\r\n", "\n").replace("\r", "\n")
    plain = "".join(sign for sign in plain if sign == "\n" or (sign >= " " and not "\x7f" <= sign <= "\x9f"))
    for sign in ("\\", ";", ","):
        plain = plain.replace(sign, f"\\{sign}")
    return plain.replace("\n", "\\n")


def folded(line: str) -> bytes:
    """A line and its end, in pieces of at most 75 octets that cut no character (section 3.1)."""
    pieces, size = [b""], 0
    for sign in line:
        octets = sign.encode("utf-8", "replace")
        if size + len(octets) > LONGEST_LINE:
            pieces.append(b" ")
            size = 1
        pieces[-1] += octets
        size += len(octets)
    return b"\r\n".join(pieces) + b"\r\n"


def _event(known: Settings, page: str, each: Dated) -> Iterator[str]:
    url = f"{page}#{each.anchor}"
    host = urlsplit(known.public_url).hostname or "localhost"
    yield "BEGIN:VEVENT"
    yield f"UID:{each.uid}@{host}"
    yield f"DTSTAMP:{_utc(each.stamped)}"
    if not each.is_whole_day:
        yield f"DTSTART:{_utc(each.at)}"
    else:
        day = each.at.astimezone(known.zone).date()
        yield f"DTSTART;VALUE=DATE:{day:%Y%m%d}"
        yield f"DTEND;VALUE=DATE:{day + timedelta(days=1):%Y%m%d}"
    yield f"SUMMARY:{text(each.summary)}"
    more = words.READ_MORE.format(url=url)
    described = "\n\n".join(part for part in (each.description.strip(), more) if part)
    yield f"DESCRIPTION:{text(described)}"
    yield f"URL:{url}"
    yield f"CATEGORIES:{each.category}"
    yield "TRANSP:TRANSPARENT"
    yield "END:VEVENT"


def _of_consultation(row: Row[Any]) -> Iterator[Dated]:
    """When it ends, and the day by which people hear what came of it."""
    maker = words.DECIDES.format(maker=row.decision_maker)
    yield Dated(
        uid=f"answer-{row.id}",
        summary=words.ANSWER_BY.format(title=row.title),
        description=f"{row.purpose}\n\n{maker}",
        at=row.closes,
        stamped=row.opens,
        anchor=f"c-{row.id}",
        category="CONSULTATION",
    )
    yield Dated(
        uid=f"told-{row.id}",
        summary=words.TOLD_BY.format(title=row.title),
        description=row.purpose,
        at=row.feedback_by,
        stamped=row.opens,
        anchor=f"c-{row.id}",
        category="CONSULTATION",
        is_whole_day=True,
    )


def _of_message(row: Row[Any]) -> Dated:
    """Until when it asks for replies."""
    return Dated(
        uid=f"reply-{row.id}",
        summary=words.REPLY_BY.format(title=row.title),
        description=render.plain(row.body),
        at=row.reply_by,
        stamped=row.published_at,
        anchor=f"m-{row.id}",
        category="REPLY BY",
    )


def _utc(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y%m%dT%H%M%SZ}"
