"""What feeds are made of: each in the rules of its own standard, whatever words stand in it."""

import gzip
import json
import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier import config
from notifier.models import Kind
from notifier.web.public.feeds import alerts, atom, calendar, cap, json_feed
from notifier.web.public.feeds.alerts import Alert, MessageType, Reference
from notifier.web.public.feeds.calendar import Dated, folded
from notifier.web.public.feeds.xml import legal
from notifier.web.public.places import Place, PublishedMessage, TeamCard
from tests import atom_rules, cap_rules
from tests.vectors import Score, cases, paths

BASE = {"NOTIFIER_BASE_URL": "https://link.example", "NOTIFIER_FORCE_NAME": "Borough Police"}
REAL = config.build(BASE).settings
DEMO = config.build({**BASE, "NOTIFIER_DEMO": "true"}).settings
WARD = Place(code="E05999001", name="Alder & <Brook>", kind="ward")
AT = datetime(2026, 7, 1, 17, 30, 59, 999_999, tzinfo=UTC)
ONE, TWO = UUID(int=1), UUID(int=2)
ODD = "Break-ins & <b>kicked</b> ]]> \x00\x0b\ud800\uffff \u2028 😀 ŵ\r\nBEGIN:VEVENT\nx;y,z\\"
CAP = "{urn:oasis:names:tc:emergency:cap:1.2}"
ATOM = "{http://www.w3.org/2005/Atom}"


def parsed(made: bytes) -> ET.Element:
    return ET.fromstring(made)  # noqa: S314 - our own


def message(title: str = "Break-ins", body: str = "Lock **up**.", *, number: int = 1) -> PublishedMessage:
    return PublishedMessage(
        id=str(UUID(int=number)),
        kind=Kind.ALERT,
        team_name="Alder SNT",
        title=title,
        body=body,
        published_at=AT - timedelta(days=number),
    )


def alert(
    kind: MessageType = MessageType.ALERT, title: str = "Break-ins", body: str = "Lock **up**."
) -> Alert:
    return Alert(
        id=TWO,
        type=kind,
        sender="alder",
        team=TeamCard(name="Alder SNT", slug="alder", emails=("alder@police.example",)),
        sent=AT,
        expires=AT + timedelta(hours=6),
        texts=[("en", title, body), ("cy", "Lladrad", "Clowch.")],
        areas=[("E05999001", "Alderbrook"), ("estate-1", "Mill Estate")],
        before=[] if kind is MessageType.ALERT else [Reference(id=ONE, sender="alder", sent=AT)],
    )


# --- CAP 1.2 --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MessageType)
@pytest.mark.parametrize("known", [REAL, DEMO], ids=["real", "demonstration"])
@pytest.mark.parametrize("title", ["Break-ins", ODD])
def test_every_alert_keeps_the_rules_of_the_standard(
    kind: MessageType, known: config.Settings, title: str
) -> None:
    assert cap_rules.faults(cap.write(alert(kind, title, title), known)) == []


def test_an_alert_says_what_it_is_who_it_is_from_and_where() -> None:
    root = parsed(cap.write(alert(), REAL))
    said = {child.tag.removeprefix(CAP): child.text for child in root}
    assert said["identifier"] == str(TWO)
    assert said["sender"] == "link.example/alder"
    assert (said["status"], said["msgType"], said["scope"]) == ("Actual", "Alert", "Public")
    assert said["sent"] == "2026-07-01T17:30:59-00:00"
    english, welsh = root.findall(f"{CAP}info")
    assert [info.findtext(f"{CAP}language") for info in (english, welsh)] == ["en-GB", "cy-GB"]
    assert welsh.findtext(f"{CAP}headline") == "Lladrad"
    assert [each.text for each in english.findall(f"{CAP}category")] == ["Safety", "Security"]
    assert {english.findtext(f"{CAP}{name}") for name in ("urgency", "severity", "certainty")} == {"Unknown"}
    assert english.findtext(f"{CAP}expires") == "2026-07-01T23:30:59-00:00"
    assert english.findtext(f"{CAP}description", "").strip() == "Lock up."
    assert english.findtext(f"{CAP}web") == f"https://link.example/areas/E05999001#m-{TWO}"
    places = [
        (
            area.findtext(f"{CAP}areaDesc"),
            area.findtext(f"{CAP}geocode/{CAP}valueName"),
            area.findtext(f"{CAP}geocode/{CAP}value"),
        )
        for area in english.findall(f"{CAP}area")
    ]
    assert places == [("Alderbrook", "GSS", "E05999001"), ("Mill Estate", "local", "estate-1")]


def test_an_update_and_a_withdrawal_name_what_they_take_the_place_of() -> None:
    for kind, name in ((MessageType.UPDATE, str(TWO)), (MessageType.CANCEL, f"{TWO}.cancel")):
        root = parsed(cap.write(alert(kind), REAL))
        assert root.findtext(f"{CAP}identifier") == name
        assert root.findtext(f"{CAP}references") == f"link.example/alder,{ONE},2026-07-01T17:30:59-00:00"
    assert root.findtext(f"{CAP}note") == "This alert has been withdrawn."


def test_a_demonstration_can_never_be_taken_for_real() -> None:
    root = parsed(cap.write(alert(), DEMO))
    assert root.findtext(f"{CAP}status") == "Test"
    assert "demonstration" in root.findtext(f"{CAP}note", "")


def test_messages_of_other_services_are_judged_by_the_same_rules_as_ours() -> None:
    """By published examples where they are at hand, and by these."""
    made = cap.write(alert(MessageType.UPDATE), REAL)
    changes = [
        (b"<scope>Public</scope>", b""),
        (b"<msgType>Update</msgType>", b"<msgType>Changed</msgType>"),
        (b"-00:00</sent>", b"Z</sent>"),
        (b"link.example/alder</sender>", b"link example</sender>"),
        (b"<urgency>Unknown</urgency>", b"<urgency />"),
        (b"<references>", b"<references>x "),
        (b"<areaDesc>Alderbrook</areaDesc>", b""),
        (b"<event>", b"<headline>First</headline><event>"),
        (b"</alert>", b"<colour /></alert>"),
        (b"<alert ", b"<!DOCTYPE alert><alert "),
    ]
    assert all(old in made and cap_rules.faults(made.replace(old, new, 1)) for old, new in changes)
    files = {path.name: path for path in paths("cap/*.cap")}
    known = [case for case in cases("cap/cap.jsonl") if case["path"].rpartition("/")[2] in files]
    score = Score()
    for case in known:
        document = files[case["path"].rpartition("/")[2]].read_bytes()
        score.add((not cap_rules.faults(document)) is case["expected"]["valid"], case["id"])
    if known:
        score.check("CAP messages")


@given(st.text(), st.text(min_size=1))
def test_no_words_break_an_alert_or_a_feed(title: str, body: str) -> None:
    for made in (
        cap.write(alert(title=title, body=body), REAL),
        cap.write_index(REAL, WARD, [alert(title=title, body=body)], now=AT),
        atom.write(REAL, WARD, [message(title, body)], now=AT),
    ):
        parsed(made)
    found = json.loads(json_feed.write(REAL, WARD, [message(title, body)]))
    assert len(found["items"]) == 1


def test_the_index_names_each_alert_and_where_it_is() -> None:
    root = parsed(cap.write_index(REAL, WARD, [alert(MessageType.CANCEL)], now=AT))
    entry = root.find(f"{ATOM}entry")
    assert entry is not None
    link = entry.find(f"{ATOM}link")
    assert link is not None
    assert link.attrib == {
        "rel": "alternate", "type": "application/cap+xml", "href": f"https://link.example/alerts/{TWO}.cap"
    }  # fmt: skip
    assert entry.findtext(f"{ATOM}summary") == "This alert has been withdrawn."
    assert root.findtext(f"{ATOM}id") == "https://link.example/areas/E05999001.cap"


# --- Atom and JSON Feed ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "messages", [[], [message(), message(ODD, ODD.replace("\ud800", ""), number=2)]], ids=["empty", "two"]
)
def test_atom_has_what_every_feed_and_entry_must_have(messages: list[PublishedMessage]) -> None:
    """RFC 4287, sections 4.1.1 and 4.1.2."""
    root = parsed(atom.write(REAL, WARD, messages, now=AT))
    for part in (root, *root.findall(f"{ATOM}entry")):
        for name in ("id", "title", "updated"):
            assert len(part.findall(f"{ATOM}{name}")) == 1
        assert datetime.fromisoformat(part.findtext(f"{ATOM}updated", "")).tzinfo is not None
        assert len(part.findall(f"{ATOM}author")) == 1
        kinds = [(link.get("rel"), link.get("type")) for link in part.findall(f"{ATOM}link")]
        assert len(kinds) == len(set(kinds))
    ids = [each.text for each in root.iter(f"{ATOM}id")]
    assert len(ids) == len(set(ids)) == len(messages) + 1


@pytest.mark.parametrize("messages", [[], [message(), message(number=2)]], ids=["empty", "two"])
def test_atom_keeps_the_rules_of_its_standard(messages: list[PublishedMessage]) -> None:
    assert atom_rules.faults(atom.write(REAL, WARD, messages, now=AT)) == []
    assert atom_rules.faults(cap.write_index(REAL, WARD, [alert()], now=AT)) == []
    assert atom_rules.faults(cap.write_index(REAL, WARD, [], now=AT)) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (b"<id>urn", b"<xd>urn", "XML"),
        (b"+00:00</published>", b"</published>", "time: published"),
        (b"<title>Break-ins</title>", b"", "missing: title"),
        (b"<title>Break-ins</title>", b"<title>A</title><title>B</title>", "twice: title"),
        (b"<id>urn:uuid:", b"<id>", "id: no address"),
        (b' href="https://link.example/areas/E05999001.atom"', b"", "missing: href"),
        (b"<category ", b"<colour /><category ", "unknown: colour"),
        (b"<published>", b'<link href="https://a.example" type="text/html" /><published>', "twice: link"),
        (b' term="alert"', b"", "missing: term"),
    ],
)
def test_those_rules_find_what_is_wrong(old: bytes, new: bytes, fault: str) -> None:
    made = atom.write(REAL, WARD, [message()], now=AT)
    assert old in made
    assert any(each.startswith(fault) for each in atom_rules.faults(made.replace(old, new, 1)))


def test_feeds_of_others_are_judged_by_the_same_rules_as_ours() -> None:
    """By the cases of a feed validator where they are at hand: whether its very fault is found, or none."""
    kinds = {"InvalidRFC": "time:", "DuplicateElement": "twice:", "MissingElement": "missing:",
             "DuplicateAtomLink": "twice: link", "MissingHref": "missing: href", "Error": ""}  # fmt: skip
    score = Score()
    for path in paths("feeds/feedvalidator.jsonl.gz"):
        for case in map(json.loads, gzip.decompress(path.read_bytes()).splitlines()):
            expected = case["expected"]
            if not case["id"].startswith("feed-atom") or expected["event"] not in kinds:
                continue
            found = atom_rules.faults(case["xml"].encode())
            kind = kinds[expected["event"]]
            named = re.search(r"element:(\w+)", expected.get("params") or "")
            fault = f"{kind} {named[1]}" if named and kind == "missing:" else kind
            is_found = any(each.startswith(fault) for each in found)
            score.add(is_found is not expected["must_be_absent"], f"{case['id']}: {found[:3]}")
        score.check("Atom feeds")


def test_an_empty_feed_is_the_same_the_whole_day() -> None:
    made = atom.write(REAL, WARD, [], now=AT)
    assert made == atom.write(REAL, WARD, [], now=AT + timedelta(hours=3))


def test_json_feed_has_its_version_and_an_address_for_each_message() -> None:
    found = json.loads(json_feed.write(REAL, WARD, [message()]))
    assert found["version"] == "https://jsonfeed.org/version/1.1"
    assert found["feed_url"] == "https://link.example/areas/E05999001.json"
    [item] = found["items"]
    assert item["url"] == f"https://link.example/areas/E05999001#m-{ONE}"
    assert "<strong>up</strong>" in item["content_html"]
    assert item["content_text"].strip() == "Lock up."
    assert datetime.fromisoformat(item["date_published"]).tzinfo is not None


def test_what_xml_does_not_know_is_left_out() -> None:
    assert legal("a\x00\x0b\x1f\ud800\udfff\ufffe\uffffb\t\n😀") == "ab\t\n😀"


# --- iCalendar ------------------------------------------------------------------------------


def dated(summary: str = "Winter patrols", *, is_whole_day: bool = False) -> Dated:
    return Dated(
        uid=f"answer-{ONE}",
        summary=summary,
        description=summary,
        at=datetime(2026, 7, 1, 23, 30, tzinfo=UTC),
        stamped=AT,
        anchor="c-1",
        category="CONSULTATION",
        is_whole_day=is_whole_day,
    )


def lines_of(made: bytes) -> list[str]:
    """Unfolded content lines (RFC 5545, section 3.1); every one ends as it must, and none is too long."""
    assert made.endswith(b"\r\n")
    raw = made.split(b"\r\n")[:-1]
    assert all(len(line) <= 75 and b"\n" not in line and b"\r" not in line for line in raw)
    for line in raw:
        line.decode("utf-8")  # no character is cut
    return made.replace(b"\r\n ", b"").decode().split("\r\n")[:-1]


def test_a_moment_is_told_in_utc_and_a_day_in_the_zone_of_the_place() -> None:
    lines = lines_of(calendar.write(REAL, WARD, [dated(), dated(is_whole_day=True)]))
    assert [line for line in lines if line.startswith("DT")] == [
        "DTSTAMP:20260701T173059Z",
        "DTSTART:20260701T233000Z",
        "DTSTAMP:20260701T173059Z",
        "DTSTART;VALUE=DATE:20260702",
        "DTEND;VALUE=DATE:20260703",
    ]
    assert lines[0] == "BEGIN:VCALENDAR"
    assert lines[-1] == "END:VCALENDAR"
    assert f"UID:answer-{ONE}@link.example" in lines


@given(st.text(max_size=300))
def test_no_words_break_a_calendar(words: str) -> None:
    lines = lines_of(calendar.write(REAL, WARD, [dated(words)]))
    assert lines.count("BEGIN:VEVENT") == lines.count("END:VEVENT") == 1
    assert sum(line.startswith("SUMMARY:") for line in lines) == 1
    assert all(
        ":" in line and line.partition(":")[0].replace(";", "").replace("=", "").replace("-", "").isalnum()
        for line in lines
    )


def test_words_with_marks_of_the_format_come_back_as_they_were() -> None:
    lines = lines_of(calendar.write(REAL, WARD, [dated("Tea; cake, and a \\ \r\nnew line")]))
    assert "SUMMARY:Tea\\; cake\\, and a \\\\ \\nnew line" in lines


@pytest.mark.parametrize("sign", ["x", "ŵ", "€", "😀"])
def test_a_fold_cuts_no_character(sign: str) -> None:
    for before in range(60, 80):
        line = "a" * before + sign * 40
        assert folded(line).replace(b"\r\n ", b"").decode() == line + "\r\n"
        assert max(len(piece) for piece in folded(line).split(b"\r\n")) <= 75


def test_alerts_are_shown_for_longer_than_any_of_them_holds() -> None:
    assert timedelta(days=7) < alerts.SHOWN_FOR
