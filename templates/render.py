"""The one home of jinja2: messages, notices and web pages from the files beside this one.

`notifier.delivery` asks for `message` and `notice`, the web pages for `page`, the compose page for
`check_text`. Words from people are values, never templates, and lose the marks of holes on their way in.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from channels.base import Content, Medium, hole, without_holes
from templates import dates
from templates.dates import long_date
from templates.languages import ENGLISH, direction
from templates.mail import beginning, in_short_lines, with_inline_styles
from templates.markdown import check_text, html, plain

__all__ = ["check_text", "html", "long_date", "message", "notice", "page", "plain"]

HERE = Path(__file__).parent
LINKS = ("manage_url", "unsubscribe_url")  # personal: left as holes in everything sent to many

Fits = Callable[[Content], bool]
_VIRAMA = 9  # combining class of the mark that makes one sign of two consonants, in Bengali and its kin
_DRAWN_ONTO = "\u0e33\u0eb3\uff9e\uff9f"  # though they count as letters: of Thai, Lao, and narrow Japanese
_LONG_WORD = 24  # letters; a longer one may be cut in two, for not every script sets its words apart
_NOTIFICATION_LENGTH = (
    300  # letters of the text: phones show some four lines, and the link leads to the whole
)


class CannotRender(ValueError):
    """A template asks for a value it was not given, or does what templates may not."""


class NoSuchTemplate(LookupError):
    """There is no folder of that name in templates/messages, or it has no words for that medium."""


def message(medium: Medium, language: str, words: Mapping[str, Any], *, fits: Fits | None = None) -> Content:
    """A team's message for one medium.

    words: title, body (limited Markdown), kind, team_name, area_names (list), reply_by (words or ""),
    can_reply (bool), team_url, service_name, force_name, and message_url where the page has a place for it.
    Holes left: manage_url, unsubscribe_url.
    fits: is there room for it where it is posted? A longer post is shortened, and ends with the area's page as ever.
    """
    values = _safe(words)
    values["title"] = " ".join(values["title"].split())
    values["text"] = plain(words["body"], underlined=medium is Medium.EMAIL)
    if medium is Medium.EMAIL:
        values["body_html"] = html(words["body"])
    if medium is Medium.SOCIAL and fits is not None:
        return _post(language, values, fits)
    if medium is Medium.PUSH and len(values["text"]) > _NOTIFICATION_LENGTH:
        values["text"] = _longest(values["text"], lambda part: len(part) <= _NOTIFICATION_LENGTH)
    return _content("message", medium, language, values)


def notice(template: str, medium: Medium, language: str, variables: Mapping[str, Any]) -> Content:
    """What the service itself says: `template` names a folder of templates/messages.

    variables: what that template needs (its list is in templates/README.md), always with service_name
    and force_name. `manage_url` and `unsubscribe_url` are holes where they are not given.
    """
    return _content(template, medium, language, _safe(variables))


def page(name: str, context: Mapping[str, Any]) -> str:
    """A web page: `name` is its file in templates/pages. context holds `zone` for its dates."""
    return _pages().get_template(name).render(context)


def _content(template: str, medium: Medium, language: str, values: dict[str, Any]) -> Content:
    values = {link: hole(link) for link in LINKS} | values | {"language": language}
    sender = str(values.get("team_name") or values.get("service_name") or "")
    match medium:
        case Medium.EMAIL:
            subject = " ".join(_file(template, "subject.txt", language, values).split())
            text = in_short_lines(_file(template, "email.txt", language, values))
            rich = with_inline_styles(_file(template, "email.html", language, values | {"subject": subject}))
            return Content(
                medium=medium, language=language, subject=subject, text=text, html=rich, sender_name=sender
            )
        case Medium.SMS:
            text = _narrow(_file(template, "sms.txt", language, values))
        case Medium.SOCIAL:
            text = _file(template, "social.txt", language, values)
        case Medium.PUSH:
            return _notification(template, language, values, sender)
    return Content(medium=medium, language=language, text=text, sender_name=sender)


def _notification(template: str, language: str, values: dict[str, Any], sender: str) -> Content:
    """What a phone or computer shows: who it is from above, a tap leads on, a button to where it is stopped."""
    return Content(
        medium=Medium.PUSH,
        language=language,
        text=_narrow(_file(template, "push.txt", language, values)),
        sender_name=sender,
        link=_file(template, "push_link.txt", language, values).strip(),
        actions=((_file("_push", "action.txt", language, values).strip(), str(values["manage_url"])),),
    )


def _file(template: str, file: str, language: str, values: Mapping[str, Any]) -> str:
    """One file in the language asked for, else in English; `frame` says in which it was found."""
    for frame in dict.fromkeys((language, ENGLISH)):
        try:
            found = _messages().get_template(f"{template}/{frame}/{file}")
        except jinja2.TemplateNotFound:
            continue
        try:
            return found.render(values, frame=frame).strip() + "\n"
        except jinja2.TemplateError as error:
            raise CannotRender(f"{template}/{frame}/{file}: {error}") from error
    raise NoSuchTemplate(f"templates/messages/{template} has no {file}")


def _safe(value: Any) -> Any:
    """The same value, every text in it without the marks of holes."""
    if isinstance(value, str):
        return without_holes(value)
    if isinstance(value, Mapping):
        return {key: _safe(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_safe(each) for each in value]
    return value


def _narrow(text: str) -> str:
    """The same lines without blank ones or doubled spaces: in a text each character has its price."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _post(language: str, values: Mapping[str, Any], fits: Fits) -> Content:
    """The whole of it, or as much of the text as there is room for; and where even the title is too long, of that."""

    def made(title: str, text: str) -> Content:
        shown = {**values, "title": title, "text": text}
        return _content("message", Medium.SOCIAL, language, shown)

    title, text = values["title"], values["text"]
    whole = made(title, text)
    if fits(whole):
        return whole
    if fits(made(title, "")):
        return made(title, _longest(text, lambda part: fits(made(title, part))))
    return made(_longest(title, lambda part: fits(made(part, ""))), "")


def _longest(text: str, fits: Callable[[str], bool]) -> str:
    """As much of the text from its beginning as fits, an ellipsis where the rest was; nothing where none does."""
    ends = [0, *_ends(text)]
    low, high = 0, len(ends) - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(_cut_short(text, ends[middle])) else (low, middle - 1)
    return _cut_short(text, ends[low])


def _cut_short(text: str, end: int) -> str:
    return f"{text[:end].rstrip(' ,;:-–(')}…" if end else ""


def _ends(text: str) -> list[int]:
    """Where a text may be cut: behind each word, and within a long one that is no link, between two characters."""
    found = []
    for word in re.finditer(r"\S+", text):
        if len(word[0]) > _LONG_WORD and "." not in word[0]:
            found += [at for at in range(word.start() + 1, word.end()) if _may_part(text[at - 1], text[at])]
        found.append(word.end())
    return found


def _may_part(left: str, right: str) -> bool:
    """Not before what is drawn onto the letter before it, within letters or an emoji of several, or half of a flag."""
    joins = (
        unicodedata.category(right)[0] in "MC"
        or right in _DRAWN_ONTO
        or unicodedata.combining(left) == _VIRAMA
        or left == "\u200d"
        or "\U0001f3fb" <= right <= "\U0001f3ff"
    )
    return not joins and not ("\U0001f1e6" <= left <= "\U0001f1ff" and "\U0001f1e6" <= right <= "\U0001f1ff")


# --- The two environments ---------------------------------------------------------------------


@cache
def _messages() -> jinja2.Environment:
    environment = ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(HERE / "messages"),
        autoescape=lambda name: bool(name) and str(name).endswith(".html"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "sentence": _sentence,
        "markdown": html,
        "plain": plain,
        "listed": _listed,
        "beginning": beginning,
    }
    environment.tests |= {"right_to_left": lambda language: direction(language) == "rtl"}
    return environment


@cache
def _pages() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "date": _date,
        "day": _day,
        "markdown": html,
        "plain": plain,
        "listed": _listed,
        "paragraphs": _paragraphs,
        "phone_number": _phone_number,
    }
    return environment


def _sentence(text: str) -> str:
    """The same text, ended by a full stop unless it ends a sentence already."""
    stripped = text.rstrip()
    return stripped if stripped.endswith((".", "!", "?", "…")) else f"{stripped}."


@jinja2.pass_context
def _listed(context: jinja2.runtime.Context, names: Sequence[str], most: int = 5) -> str:
    """ "Vassall, Myatt's Fields and 2 more", in the language of the frame."""
    is_welsh = context.get("frame") == "cy"
    shown = list(names[:most])
    if len(names) > most:
        shown.append(f"{len(names) - most} {'arall' if is_welsh else 'more'}")
    if len(shown) < 2:
        return "".join(shown)
    joined = ("ac" if shown[-1][:1].lower() in "aeiouwy" else "a") if is_welsh else "and"
    return f"{', '.join(shown[:-1])} {joined} {shown[-1]}"


@jinja2.pass_context
def _date(context: jinja2.runtime.Context, when: Any) -> str:
    return long_date(when, context["zone"])


@jinja2.pass_context
def _day(context: jinja2.runtime.Context, when: Any) -> str:
    return dates.day(when, context["zone"])


def _phone_number(number: str) -> str:
    """A UK mobile as people write it, "07700 900123"; any other number as it is."""
    is_uk_mobile = number.startswith("+447") and len(number) == 13
    return f"0{number[3:7]} {number[7:]}" if is_uk_mobile else number


def _paragraphs(text: str) -> Markup:
    """Plain words from a person, their line breaks kept and nothing in them taken for markup."""
    blocks = (block.strip() for block in text.replace("\r\n", "\n").split("\n\n"))
    joined = (Markup("<br>").join(block.split("\n")) for block in blocks if block)
    return Markup("").join(Markup("<p>{}</p>").format(block) for block in joined)
