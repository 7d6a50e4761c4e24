"""Mails as residents get them, of each kind and in several languages: for tests that read or look at them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from channels.base import Content, Medium, hole
from templates import render
from templates.render import LINKS
from tests.unit.templates.test_render import FRAME, LINK, NOTICES, WORDS

EVERYTHING = """Back doors were **forced** between *6pm and 9pm*. See
https://www.police.uk/pu/your-area/metropolitan-police-service/a-very-long-path-that-goes-on-and-on/alderbrook for more.

### What to do

- Lock back doors and side gates
- Call [the crime line](tel:101) if you saw something
    1. Say what you saw
    2. Say when

## Who to ask

Write to [the team](mailto:team@link.example) or read [our advice](https://a.example/b).

### When

1. First
2. Second
"""
URDU = (
    "پچھلے دروازے **توڑے** گئے۔\n\n## کیا کریں\n\n- دروازے بند رکھیں\n- [ہمیں](https://a.example/b) بتائیں\n"
)
ITEMS = [
    {"title": "Three break-ins", "body": EVERYTHING, "team_name": "Alderbrook SNT", "url": "https://link.example/a"},
    {"title": "Meet us", "body": "We are at the **library**.", "team_name": "Mill Hill SNT", "url": "https://link.example/b"},
]  # fmt: skip
MORE: dict[str, dict[str, Any]] = {
    "digest": {"items": ITEMS},
    "answer": {"officer_name": "PC Amina Shah"},
    "acknowledgement": {"urgent": True},
}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One mail, its holes filled."""

    name: str
    language: str
    content: Content


def message(language: str, **words: Any) -> Content:
    return render.message(Medium.EMAIL, language, WORDS | {"body": EVERYTHING} | words)


def notice(name: str, language: str = "en") -> Content:
    return render.notice(name, Medium.EMAIL, language, FRAME | NOTICES[name] | MORE.get(name, {}))


def every_kind() -> Iterator[Shown]:
    """Each kind of mail in English, those that have them in Welsh, a message in a language read from the right."""
    yield _shown("message", "en", message("en"))
    yield _shown("message", "cy", message("cy", kind="consultation"))
    yield _shown("message", "ur", message("ur", title="الڈر روڈ پر تین چوریاں", body=URDU))
    for name in sorted(NOTICES.keys() - {"confirm_sms"}):
        yield _shown(name, "en", notice(name))
    for name in ("confirm_email", "welcome", "stopped"):
        yield _shown(name, "cy", notice(name, "cy"))


def _shown(name: str, language: str, content: Content) -> Shown:
    html, text = content.html, content.text
    for link in LINKS:
        html, text = html.replace(hole(link), LINK), text.replace(hole(link), LINK)
    return Shown(name=name, language=language, content=replace(content, html=html, text=text))
