"""The compose form: what was typed becomes a draft, and a draft what stands in the form. Pure.

Names of fields: team, form_key, kind, title, body, areas, topics, media, consultation, when, send_date,
send_time, send_clock, end_date, end_time, end_clock, reply_date, reply_time, reply_clock, override_reason; for
the nth other language language_n, title_n, body_n. Called by the compose page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from notifier.broadcast.draft import Draft
from notifier.broadcast.overview import Written
from notifier.web.desk import clock
from notifier.web.desk.clock import Moment
from notifier.web.forms import Fields
from templates.languages import ENGLISH, NAMES

KINDS = (
    ("priority_update", "Update on a priority", "What the team is doing about something people raised."),
    ("consultation", "Consultation", "Ask people what they think, and by when. They can reply."),
    ("feedback", "Feedback", "You said, we did: what came of what people told us."),
    (
        "alert",
        "Alert",
        "People need to know now to stay safe. Goes before all else, also to those who chose a digest.",
    ),
    ("news", "News", "Goes last, and only to people who want everything."),
    ("correction", "Correction", "Puts right something that went out wrong."),
)
MEDIA = (
    ("email", "Email", ""),
    ("sms", "Text message", "Costs money for each part. The preview shows how much."),
    (
        "push",
        "Notification",
        "On phones and computers where people turned it on. Costs nothing, and nobody can reply.",
    ),
    ("social", "Post", "On the team’s own account, for anybody to read."),
)
ORDER = (
    *("kind", "title", "body", "areas", "topics", "media"),
    *("when", "send_date", "send_clock", "end_date", "end_clock", "override_reason"),
    *("reply_date", "reply_clock", "consultation"),
)
NOW, LATER = "now", "later"
END_OF_DAY = "23:59"
MOST_SLOTS = 6


@dataclass(frozen=True, kw_only=True)
class Typed:
    """What a form held: the draft it describes, and what the form itself can tell is wrong with it.

    clocks: field → choices, where the clocks change. names: field of the draft → field of the form.
    """

    draft: Draft
    errors: Mapping[str, str]
    clocks: Mapping[str, Sequence[tuple[str, str]]]
    names: Mapping[str, str] = field(default_factory=dict)

    def named(self, faults: Mapping[str, str]) -> dict[str, str]:
        """Sentences beside the fields of this form; what the form found itself goes first."""
        return {**{self.names.get(name, name): words for name, words in faults.items()}, **self.errors}


def read(sent: Fields, *, zone: ZoneInfo) -> Typed:
    """What was sent. HTTPBadRequest where a field with one value has several."""
    errors: dict[str, str] = {}
    texts = {ENGLISH: (sent.one("title") or "", _lines(sent.one("body")))}
    names = {
        "send_at": "send_date",
        "expires_at": "end_date",
        "reply_by": "reply_date",
        "consultation_id": "consultation",
    }
    for slot in range(1, slots_in(sent) + 1):
        _read_language(sent, slot, texts, names, errors)
    send_at, send_moment = _send_at(sent, zone)
    reply_by, reply_moment = _last_moment(sent, "reply", zone, "Enter the date by which people should reply.")
    ends, end_moment = _last_moment(sent, "end", zone, "Enter the date after which it is of no use.")
    moments = (("send_date", send_moment), ("end_date", end_moment), ("reply_date", reply_moment))
    for name, moment in moments:
        if moment.wrong:
            errors[name] = moment.wrong
    draft = Draft(
        kind=sent.one("kind") or "",
        texts=texts,
        areas=tuple(dict.fromkeys(sent.get("areas", ()))),
        media=tuple(dict.fromkeys(sent.get("media", ()))),
        topics=tuple(dict.fromkeys(sent.get("topics", ()))),
        send_at=send_at,
        expires_at=ends,
        reply_by=reply_by,
        override_reason=(sent.one("override_reason") or "").strip(),
        consultation_id=_consultation(sent, errors),
        form_key=(sent.one("form_key") or "")[:64],
    )
    clocks = {
        "send_clock": send_moment.choices,
        "end_clock": end_moment.choices,
        "reply_clock": reply_moment.choices,
    }
    return Typed(draft=draft, errors=errors, clocks=clocks, names=names)


def in_order(errors: Mapping[str, str]) -> dict[str, str]:
    """The same sentences in the order of the page."""
    return dict(sorted(errors.items(), key=lambda pair: _place(pair[0])))


def _place(name: str) -> tuple[int, str]:
    return (ORDER.index(name), "") if name in ORDER else (len(ORDER), name)


def slots_in(sent: Mapping[str, Sequence[str]]) -> int:
    """How many other languages the form has room for."""
    numbers = [int(name[9:]) for name in sent if name.startswith("language_") and name[9:].isdecimal()]
    return min(max(numbers, default=1), MOST_SLOTS)


def filled_from(written: Written, zone: ZoneInfo) -> dict[str, Sequence[str]]:
    """What stands in the form of a draft that was kept."""
    title, body = written.texts[ENGLISH]
    typed: dict[str, Sequence[str]] = {
        "kind": [written.kind],
        "title": [title],
        "body": [body],
        "areas": list(written.areas),
        "topics": list(written.topics),
        "media": list(written.media),
        "consultation": [str(written.consultation_id or "")],
        "when": [LATER if written.send_at else NOW],
        **_date_and_time("send", written.send_at, zone),
        **_date_and_time("end", written.expires_at, zone),
        **_date_and_time("reply", written.reply_by, zone),
        "override_reason": [written.override_reason],
    }
    others = [language for language in written.texts if language != ENGLISH]
    for slot, language in enumerate(others, start=1):
        typed[f"language_{slot}"] = [language]
        typed[f"title_{slot}"], typed[f"body_{slot}"] = ([part] for part in written.texts[language])
    return typed


def _read_language(
    sent: Fields,
    slot: int,
    texts: dict[str, tuple[str, str]],
    names: dict[str, str],
    errors: dict[str, str],
) -> None:
    language = sent.one(f"language_{slot}") or ""
    title, body = sent.one(f"title_{slot}") or "", _lines(sent.one(f"body_{slot}"))
    if not language and not title.strip() and not body.strip():
        return
    if language not in NAMES or language == ENGLISH:
        errors[f"language_{slot}"] = "Choose the language of this text."
    elif language in texts:
        errors[f"language_{slot}"] = f"{NAMES[language]} is there already."
    else:
        texts[language] = (title, body)
        names |= {f"title_{language}": f"title_{slot}", f"body_{language}": f"body_{slot}"}


def _send_at(sent: Fields, zone: ZoneInfo) -> tuple[datetime | None, Moment]:
    when = sent.one("when") or NOW
    if when not in (NOW, LATER):
        return None, Moment(wrong="Choose when it should go out.")
    if when == NOW:
        return None, Moment()
    day, at = sent.one("send_date") or "", sent.one("send_time") or ""
    if not day.strip() or not at.strip():
        return None, Moment(wrong="Enter the date and the time it should go out, or send it now.")
    moment = clock.read(day, at, zone, choice=sent.one("send_clock") or "")
    return moment.at, moment


def _last_moment(sent: Fields, name: str, zone: ZoneInfo, no_day: str) -> tuple[datetime | None, Moment]:
    """A day that may be left empty, its end where no time is given."""
    day, at = sent.one(f"{name}_date") or "", sent.one(f"{name}_time") or ""
    if not day.strip() and not at.strip():
        return None, Moment()
    if not day.strip():
        return None, Moment(wrong=no_day)
    moment = clock.read(day, at.strip() or END_OF_DAY, zone, choice=sent.one(f"{name}_clock") or "")
    return moment.at, moment


def _consultation(sent: Fields, errors: dict[str, str]) -> UUID | None:
    text = sent.one("consultation") or ""
    try:
        return UUID(text) if text else None
    except ValueError:
        errors["consultation"] = "Choose a consultation from the list."
        return None


def _date_and_time(name: str, at: datetime | None, zone: ZoneInfo) -> dict[str, Sequence[str]]:
    if at is None:
        return {}
    local = at.astimezone(zone)
    found = {f"{name}_date": [f"{local:%Y-%m-%d}"], f"{name}_time": [f"{local:%H:%M}"]}
    naive = local.replace(tzinfo=None, fold=0)
    if clock.read(f"{naive:%Y-%m-%d}", f"{naive:%H:%M}", zone).choices:
        found[f"{name}_clock"] = [clock.SECOND if local.fold else clock.FIRST]
    return dict(found)


def _lines(text: str | None) -> str:
    """Line breaks as we keep them; browsers send CR LF."""
    return (text or "").replace("\r\n", "\n").replace("\r", "\n")
