"""Messages and notices: every file renders, in every language and medium, strictly and with its holes."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from channels import gsm
from channels.base import HOLE_CLOSES, HOLE_OPENS, Content, Form, Hole, Medium, cut
from channels.social_bluesky import SocialBluesky
from channels.social_facebook import SocialFacebook
from channels.social_mastodon import SocialMastodon
from channels.social_x import SocialX
from notifier.delivery.wording import fits
from templates import render
from templates.languages import NAMES

MESSAGES = Path(render.__file__).parent / "messages"
LONDON = ZoneInfo("Europe/London")
FRAME = {"service_name": "Neighbourhood Link", "force_name": "Borough Police"}
LINK = "https://link.example/manage/" + "a" * 55
WORDS: dict[str, Any] = {
    **FRAME,
    "title": "Three break-ins on Alder Road",
    "body": "Back doors were **forced**.\n\n- Lock up\n- Call [us](https://a.example/b)",
    "kind": "alert",
    "team_name": "Alderbrook SNT",
    "area_names": ["Alderbrook", "Mill Hill"],
    "reply_by": "Friday 4 December 2026, 6pm",
    "can_reply": True,
    "team_url": "https://link.example/areas/E05999001",
}
# What each notice is planned with.
NOTICES: dict[str, dict[str, Any]] = {
    "confirm_email": {"confirm_url": LINK, "area_names": ["Alderbrook"]},
    "confirm_sms": {"code": "123456", "area_names": ["Alderbrook", "Mill Hill", "Priory Park"]},
    "already": {"manage_url": LINK},
    "welcome": {"area_names": ["Alderbrook"], "team_names": ["Alderbrook SNT"], "manage_url": LINK},
    "fresh_link": {"fresh_url": LINK, "good_for_minutes": 60},
    "stopped": {"medium": "email", "still_on": ["sms", "email"], "manage_url": LINK},
    "stopped_area": {"area_name": "Alderbrook", "still_areas": ["Mill Hill"], "manage_url": LINK},
    "start_question": {"area_names": ["Alderbrook"]},
    "probe": {},
    "returned": {"medium": "email", "masked": "s...@...", "manage_url": LINK},
    "help": {},
    "question_ward": {"choices": [{"number": 1, "code": "E1", "name": "A"}, {"number": 2, "code": "E2", "name": "B"}]},
    "question_postcode": {},
    "acknowledgement": {"reference": "AB12CD", "team_name": "Alderbrook SNT"},
    "answer": {"body": "Thank you.\n\nWe will look.", "team_name": "Alderbrook SNT", "reference": "AB12CD"},
    "digest": {
        "frequency": "daily",
        "items": [{"title": "A", "body": "**b**", "team_name": "C", "url": "https://d.example"}],
    },
}  # fmt: skip
ONE_TEXT = {"confirm_sms", "returned", "stopped", "stopped_area", "start_question", "help", "question_ward",
            "question_postcode", "acknowledgement", "answer", "digest"}  # fmt: skip


def media_of(template: str) -> list[Medium]:
    files = {"email.txt": Medium.EMAIL, "sms.txt": Medium.SMS, "social.txt": Medium.SOCIAL,
             "push.txt": Medium.PUSH}  # fmt: skip
    return [medium for file, medium in files.items() if (MESSAGES / template / "en" / file).exists()]


CASES = [
    (template, medium, language)
    for template in ("message", *NOTICES)
    for medium in media_of(template)
    for language in ("en", "cy", "bn", "ur")
]


def rendered(template: str, medium: Medium, language: str, more: Mapping[str, Any] | None = None) -> Content:
    if template == "message":
        return render.message(medium, language, WORDS | dict(more or {}))
    return render.notice(template, medium, language, FRAME | NOTICES[template] | dict(more or {}))


def test_every_folder_is_tried_here() -> None:
    folders = {path.name for path in MESSAGES.iterdir() if path.is_dir() and not path.name.startswith("_")}
    assert folders == {"message", *NOTICES}


@pytest.mark.parametrize(("template", "medium", "language"), CASES)
def test_every_template_renders_in_every_language_and_medium(
    template: str, medium: Medium, language: str
) -> None:
    content = rendered(template, medium, language)
    assert content.text.strip()
    assert "{{" not in content.text + content.html + content.subject
    if medium is Medium.EMAIL:
        assert content.subject
        assert "\n" not in content.subject
        assert content.html.lower().startswith("<!doctype html>")
        assert "999" in content.html
        assert "999" in content.text


@pytest.mark.parametrize(("template", "medium", "language"), [c for c in CASES if c[1] is Medium.EMAIL])
def test_every_email_is_html_a_screen_reader_can_follow(template: str, medium: Medium, language: str) -> None:
    made = rendered(template, medium, language).html
    frame = language if (MESSAGES / template / language).is_dir() else "en"
    assert f'<html lang="{frame}" dir="ltr">' in made
    assert made.count("<h1") == 1
    assert "<img" not in made
    assert made.count("<table") == made.count('role="presentation"')


@pytest.mark.parametrize(
    ("template", "medium", "language"), [c for c in CASES if c[1:] == (Medium.SMS, "en")]
)
def test_english_texts_need_the_seven_bit_alphabet_alone(
    template: str, medium: Medium, language: str
) -> None:
    content = rendered(template, medium, language)
    size = gsm.measure(content.text)
    assert size.encoding is gsm.Encoding.GSM_7
    assert size.parts <= (1 if template in ONE_TEXT else 2)


@pytest.mark.parametrize(
    ("medium", "missing"),
    [(Medium.EMAIL, "team_name"), (Medium.SMS, "team_name")],
)
def test_a_word_that_is_missing_is_an_error_and_never_a_gap(medium: Medium, missing: str) -> None:
    words = {name: value for name, value in WORDS.items() if name != missing}
    with pytest.raises(render.CannotRender, match=missing):
        render.message(medium, "en", words)


@pytest.mark.parametrize("language", ["en", "cy", "ur"])
def test_a_message_by_email_leaves_the_two_personal_links_as_holes(language: str) -> None:
    content = rendered("message", Medium.EMAIL, language)
    for text in (content.text, content.html):
        holes = {piece.name for piece in cut(text) if isinstance(piece, Hole)}
        assert holes == {"manage_url", "unsubscribe_url"}
    assert HOLE_OPENS not in content.subject


@pytest.mark.parametrize(("template", "medium", "language"), [c for c in CASES if c[1] is Medium.PUSH])
def test_every_notification_leads_somewhere_and_says_where_it_is_stopped(
    template: str, medium: Medium, language: str
) -> None:
    content = rendered(template, medium, language)
    assert content.link.startswith("https://")
    [(words, link)] = content.actions
    assert words == ("Atal neu newid" if language == "cy" else "Stop or change")
    assert link == (LINK if template in ("welcome", "returned") else f"{HOLE_OPENS}manage_url{HOLE_CLOSES}")
    assert len(content.text) < 500
    assert content.sender_name == ("Alderbrook SNT" if template == "message" else "Neighbourhood Link")


@pytest.mark.parametrize(
    ("medium", "lost", "words"),
    [
        (Medium.EMAIL, "push", "notifications"),
        (Medium.EMAIL, "sms", "number"),
        (Medium.SMS, "push", "notifications"),
        (Medium.SMS, "email", "emails"),
        (Medium.PUSH, "email", "emails"),
        (Medium.PUSH, "sms", "number"),
    ],
)
def test_what_does_not_reach_somebody_is_named_by_each_other_way(
    medium: Medium, lost: str, words: str
) -> None:
    content = rendered("returned", medium, "en", {"medium": lost})
    assert words in content.text
    assert ("texts" in content.subject.lower()) is (medium is Medium.EMAIL and lost == "sms")


def test_a_notification_is_cut_at_a_word_and_leads_to_the_whole_of_the_message() -> None:
    more = {"body": "Lock your doors. " * 100, "message_url": "https://link.example/areas/E1#m-1"}
    content = rendered("message", Medium.PUSH, "en", more)
    assert content.text.startswith("Alert: Three break-ins on Alder Road.\nLock your doors.")
    assert "…\nHave your say by Friday" in content.text
    assert content.link == "https://link.example/areas/E1#m-1"


def test_a_hole_in_html_is_escaped_when_it_is_filled() -> None:
    pieces = cut(rendered("message", Medium.EMAIL, "en").html, Form.HTML)
    hole = next(piece for piece in pieces if isinstance(piece, Hole))
    assert hole.write('"><b>') == b"&quot;&gt;&lt;b&gt;"


def test_a_text_says_how_to_stop() -> None:
    assert rendered("message", Medium.SMS, "en").text.endswith("Reply STOP to end")
    without = rendered("message", Medium.SMS, "en", {"can_reply": False}).text
    assert without.endswith(f"To stop: {HOLE_OPENS}unsubscribe_url{HOLE_CLOSES}")


def test_a_text_begins_with_who_it_is_from() -> None:
    assert rendered("message", Medium.SMS, "en").text.startswith(
        "Alderbrook SNT: Three break-ins on Alder Road."
    )


EMOJI = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
LONG = {
    "short": "Short.",
    "words": "word " * 400,
    "links": "https://a.org.uk/b " * 60,
    "Bengali": "\u09ac\u09be\u0982\u09b2\u09be " * 300,
    "Chinese": "\u8b66\u5bdf\u4eca\u5929" * 400,
    "emoji": EMOJI * 400,
    "flags": "\U0001f1ec\U0001f1e7" * 400,
    "lines": "One line\n\nand another. " * 80,
}
NETWORKS = {
    "X": SocialX("a", "b", {}),
    "Mastodon": SocialMastodon({}),
    "Bluesky": SocialBluesky({}),
    "Facebook": SocialFacebook({}, ""),
}


def posted(network: str, more: dict[str, object]) -> Content:
    return render.message(Medium.SOCIAL, "en", WORDS | more, fits=partial(fits, NETWORKS[network]))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("body", LONG)
@pytest.mark.parametrize(
    "team_url", ["https://link.org.uk/areas/E05013664", "http://127.0.0.1:8080/areas/E05013664"]
)
def test_a_post_fits_its_network_and_ends_with_the_areas_page(network: str, body: str, team_url: str) -> None:
    made = posted(network, {"body": LONG[body], "team_url": team_url})
    found = NETWORKS[network].estimate(made)
    assert found.limit is not None
    assert found.length <= found.limit
    assert made.text.strip().endswith(f"Have your say by {WORDS['reply_by']}.\n\n{team_url}")
    NETWORKS[network].prepare(made)
    if "\u2026" in made.text:
        assert found.limit - found.length < 30  # as much as there is room for


def test_a_post_is_cut_between_words_and_never_within_a_character_or_a_link() -> None:
    assert " word\u2026\n" in posted("X", {"body": LONG["words"]}).text
    assert f"{EMOJI}\u2026\n" in posted("X", {"body": LONG["emoji"]}).text
    assert "\U0001f1ec\u2026" not in posted("X", {"body": LONG["flags"]}).text
    conjunct = "\u09a8\u09cd\u09a6\u09cd\u09b0"  # one sign of three Bengali consonants
    assert all(
        f"{conjunct}\u2026\n" in posted(each, {"body": conjunct * 900}).text for each in ("X", "Mastodon")
    )
    assert "/b\u2026\n" in posted("Mastodon", {"body": LONG["links"]}).text


def test_a_title_that_leaves_no_room_is_cut_too() -> None:
    made = posted("X", {"title": "a.uk " * 24, "body": "Body"})
    assert made.text.strip().endswith(str(WORDS["team_url"]))
    assert fits(NETWORKS["X"], made)


def test_a_post_is_as_long_as_its_network_takes() -> None:
    lengths = [
        len(posted(network, {"body": LONG["words"]}).text)
        for network in ("X", "Bluesky", "Mastodon", "Facebook")
    ]
    assert lengths == sorted(set(lengths))


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        ("alert", "Alert: Three break-ins on Alder Road"),
        ("consultation", "Have your say: Three break-ins on Alder Road"),
        ("news", "Three break-ins on Alder Road"),
    ],
)
def test_the_subject_says_what_kind_it_is(kind: str, subject: str) -> None:
    assert rendered("message", Medium.EMAIL, "en", {"kind": kind}).subject == subject


def test_a_title_cannot_add_a_header() -> None:
    assert "\n" not in rendered("message", Medium.EMAIL, "en", {"title": "a\r\nBcc: v@x.example"}).subject


@pytest.mark.parametrize("name", ["title", "body", "team_name", "reply_by"])
def test_words_from_people_are_escaped_in_html_and_never_run(name: str) -> None:
    made = rendered("message", Medium.EMAIL, "en", {name: "<script>x</script>{{7*7}}"})
    assert "<script>" not in made.html
    assert "49" not in made.html + made.text


def test_words_from_people_cannot_open_a_hole() -> None:
    title = f"{HOLE_OPENS}unsubscribe_url{HOLE_CLOSES}"
    made = rendered("message", Medium.EMAIL, "en", {"title": title, "area_names": [title]})
    assert made.subject == "Alert: unsubscribe_url"
    assert made.text.count(HOLE_OPENS) == 2


def test_welsh_is_used_where_it_is_and_english_stands_in_file_by_file() -> None:
    assert rendered("welcome", Medium.EMAIL, "cy").subject.startswith("Rydych")
    assert rendered("already", Medium.EMAIL, "cy").subject.startswith("You are")


def test_the_words_of_a_message_say_their_own_language_and_direction() -> None:
    made = rendered("message", Medium.EMAIL, "ur").html
    assert '<html lang="en" dir="ltr">' in made
    assert '<div lang="ur" dir="rtl" style="text-align: right;">' in made


@pytest.mark.parametrize(
    ("when", "words"),
    [
        (datetime(2026, 11, 21, 18, 30, tzinfo=UTC), "Saturday 21 November 2026, 6:30pm"),
        (datetime(2026, 7, 1, 11, 0, tzinfo=UTC), "Wednesday 1 July 2026, 12pm"),
        (datetime(2026, 6, 30, 23, 5, tzinfo=UTC), "Wednesday 1 July 2026, 12:05am"),
    ],
)
def test_dates_are_written_as_residents_read_them(when: datetime, words: str) -> None:
    assert render.long_date(when, LONDON, "en") == words


@pytest.mark.parametrize("language", [*NAMES, "xx", "not a language"])
def test_a_date_can_be_written_in_every_language(language: str) -> None:
    written = render.long_date(datetime(2026, 11, 21, 18, 30, tzinfo=UTC), LONDON, language)
    assert len(written) > 12


def test_welsh_dates_have_welsh_months() -> None:
    written = render.long_date(datetime(2026, 11, 21, 18, 30, tzinfo=UTC), LONDON, "cy")
    assert written == "Dydd Sadwrn 21 Tachwedd 2026, 18:30"


@pytest.mark.parametrize(
    ("names", "most", "words"),
    [(["A"], 5, "A"), (["A", "B"], 5, "A and B"), (["A", "B", "C"], 2, "A, B and 1 more"), ([], 5, "")],
)
def test_names_are_listed_as_one_says_them(names: list[str], most: int, words: str) -> None:
    template = render._messages().from_string("{{ names|listed(most) }}")
    assert template.render(names=names, most=most, frame="en") == words


def test_a_template_nobody_wrote_is_named() -> None:
    with pytest.raises(render.NoSuchTemplate, match="no_such"):
        render.notice("no_such", Medium.SMS, "en", FRAME)
