"""Writing on the desk: what was typed survives, the preview is what is sent, and two people where it needs two."""

import re
from collections import Counter
from collections.abc import AsyncIterator
from datetime import date, timedelta
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from notifier.db import Database
from notifier.models import AuditEvent, DeliveryState, Kind, Message, MessageState, MessageText, Role
from templates import render
from tests.integration.desk import MESSAGE, Client, Desk, hidden_in, open_desk, submit, token_in
from tests.integration.desk_forms import approve, drafted, errors_in, press, send_form
from tests.world import ward

EMAIL = "sam@force.example"


@pytest.fixture
async def desk(db: Database) -> AsyncIterator[Desk]:
    async with open_desk(db) as opened:
        await opened.officer(EMAIL, Role.SERGEANT, opened.world.teams[0])
        yield opened


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[Client]:
    async with desk.signed_in(EMAIL) as browser:
        yield browser


# --- From empty form to delivered ---------------------------------------------------------------------


async def test_a_message_is_written_looked_at_approved_and_watched(desk: Desk, client: Client) -> None:
    path = await drafted(client, media=["email", "sms", "social"], areas=[ward(0), ward(1)])
    page = await (await client.get(f"{path}/preview")).text()
    found = re.findall(r"<dt>([\w ]+)</dt><dd>(\d+)</dd>", page)
    reach = {label: int(number) for label, number in found}
    assert reach == {"people": 4, "emails": 4, "text messages": 4, "posts": 1}
    status, reached, progress = await approve(client, path)
    assert (status, reached) == (200, f"{path}/progress")
    await desk.settle()
    progress = await (await client.get(f"{path}/progress")).text()
    cells = re.findall(r'<th scope="row">([\w ]+)</th>((?:<td class="number">\d+</td>)+)', progress)
    rows = {name: [int(n) for n in re.findall(r"\d+", numbers)] for name, numbers in cells}
    assert rows["All"] == [9, 0, 0, 0, 9]
    assert sum(reach[kind] for kind in ("emails", "text messages", "posts")) == rows["All"][-1]
    assert Counter(sent.message.prepared.medium.value for sent in desk.memory.sent) == {
        "email": 4,
        "sms": 4,
        "social": 1,
    }
    async with desk.db.transaction(read_only=True) as tx:
        actions = (
            await tx.execute(select(AuditEvent.action).where(AuditEvent.object_kind == "messages"))
        ).scalars()
        assert list(actions) == ["draft_saved", "approved"]


async def test_the_preview_is_what_is_sent(desk: Desk, client: Client) -> None:
    path = await drafted(
        client, media=["email", "sms"], title="Café’s & “quotes”", body="Line **one**\n\n- a\n- b"
    )
    page = await (await client.get(f"{path}/preview")).text()
    frame = await (await client.get(f"{path}/preview/email")).text()
    await approve(client, path)
    await desk.settle()
    texts = {sent.message.prepared.medium.value: sent.words for sent in desk.memory.sent}
    shown = re.search(r'<li class="theirs">.*?</span>(.*?)</li>', page, re.DOTALL)
    assert shown
    unescaped = shown[1].replace("&amp;", "&").replace("&#39;", "'").strip()
    assert unescaped == texts["sms"].text.strip()
    without_links = re.compile(r"/(manage|unsubscribe)/[a-z0-9]+")
    sent = without_links.sub("", texts["email"].html)
    assert without_links.sub("", frame.replace('<base target="_top">', "")) == sent


async def test_the_frame_of_a_mail_can_run_nothing(client: Client) -> None:
    path = await drafted(client)
    async with client.get(f"{path}/preview/email") as response:
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "sandbox" in policy
        assert "allow-scripts" not in policy
        assert "frame-ancestors 'self'" in policy


async def test_a_double_click_makes_one_message(desk: Desk, client: Client) -> None:
    page = await (await client.get("/desk/messages/new")).text()
    values = [*MESSAGE.items(), ("areas", ward(0)), ("team", "abbey-bridge")]
    values += [(name, hidden_in(page, name)) for name in ("form_key",)] + [("form_token", token_in(page))]
    reached = {(await client.post("/desk/messages/new", data=values)).url.path for _ in range(2)}
    assert len(reached) == 1
    async with desk.db.transaction(read_only=True) as tx:
        assert await tx.scalar(select(func.count()).select_from(Message)) == 1


async def test_a_draft_is_changed_and_another_language_added(desk: Desk, client: Client) -> None:
    path = await drafted(client)
    status, reached, page = await send_form(client, path=path, action="add_language", title="Changed")
    assert (status, reached) == (200, path)
    assert 'name="title_2"' in page
    assert 'value="Changed"' in page
    welsh = {"language_1": "cy", "title_1": "Patrolau", "body_1": "Byddwn yn y parc."}
    _, reached, page = await send_form(client, path=path, title="Changed", **welsh)
    assert reached == f"{path}/preview", errors_in(page)
    assert "Patrolau" in page
    again = await (await client.get(path)).text()
    assert '<option value="cy" selected>' in again
    assert "Byddwn yn y parc." in again
    async with desk.db.transaction(read_only=True) as tx:
        languages = (await tx.execute(select(MessageText.language).order_by(MessageText.language))).scalars()
        assert list(languages) == ["cy", "en"]


async def test_a_draft_nobody_needs_is_deleted(desk: Desk, client: Client) -> None:
    path = await drafted(client)
    assert await press(client, path, "drop") == 200
    assert path not in (await (await client.get("/desk")).text()).split("Sent</h2>")[0]
    assert await press(client, path, "drop") == 409


# --- What is wrong stays on the page --------------------------------------------------------------------

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "nothing chosen": ({"kind": None}, "Choose what kind of message this is."),
    "an unknown kind": ({"kind": "spam"}, "Choose what kind of message this is."),
    "title of spaces": ({"title": "   "}, "Write a title."),
    "invisible title": ({"title": "\u200b"}, "Write a title."),
    "no body": ({"body": ""}, "Write the message."),
    "no area": ({"areas": None}, "Choose at least one area."),
    "no way": ({"media": None}, "Choose how it should go out: email, text, notification or post."),
    "fax": ({"media": "fax"}, "There is no way to send by “fax”."),
    "long title": ({"title": "A" * 300}, "Shorten the title to 120 characters; it has 300."),
    "long body": ({"body": "b" * 100_000}, "Shorten the message to 10,000 characters; it has 100,000."),
    "line break in title": ({"title": "Title\r\nBcc: x@evil.example"}, "Remove line breaks from the title."),
    "NUL in title": ({"title": "Title\x00"}, "Remove line breaks from the title."),
    "a field": ({"body": "Dear {{name}}"}, "Unknown field {{name}}"),
    "a program": ({"body": "{% for x in y %}"}, "Unknown field {%"),
    "a dollar field": ({"title": "${name}"}, "Unknown field ${name}"),
    "dunder": ({"body": "{{''.__class__}}"}, "Unknown field {{"),
    "a link that runs": ({"body": "[x](javascript:alert(1))"}, "The link javascript:alert(1"),
    "another ward": ({"areas": ward(5)}, "is not an area that this team writes to"),
    "an unknown area": ({"areas": "E99999999"}, "is not an area that this team writes to"),
    "an unknown topic": ({"topics": "999999"}, "There is no topic"),
    "neither now nor later": ({"when": "x"}, "Choose when it should go out."),
    "no date": ({"when": "later"}, "Enter the date and the time it should go out"),
    "no such day": (
        {"when": "later", "send_date": "31/04/2027", "send_time": "10:00"},
        "Enter a real date, for example 27 3 2027.",
    ),
    "no such time": (
        {"when": "later", "send_date": "2027-04-30", "send_time": "25:61"},
        "Enter a real time, for example 6:30pm or 18:30.",
    ),
    "yesterday": (
        {"when": "later", "send_date": "2020-01-01", "send_time": "10:00"},
        "Choose a time still to come, or send it now.",
    ),
    "far away": (
        {"when": "later", "send_date": "2099-01-01", "send_time": "10:00"},
        "Choose a time within the next year.",
    ),
    "reply in the past": ({"reply_date": "2020-01-01"}, "Choose a reply-by time after the message goes out."),
    "consultation without an end": ({"kind": "consultation"}, "Say by when people should reply."),
    "no language": ({"title_1": "Teitl", "body_1": "Geiriau"}, "Choose the language of this text."),
    "half a translation": ({"language_1": "cy", "title_1": "Teitl"}, "Write the message."),
    "a text too long": ({"media": "sms", "body": "word " * 400}, "As a text message:"),
    "no consultation": ({"consultation": str(UUID(int=5))}, "Choose a consultation from the list."),
    "no id": ({"consultation": "x"}, "Choose a consultation from the list."),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_fault_is_named_and_nothing_typed_is_lost(desk: Desk, client: Client, name: str) -> None:
    changes, sentence = WRONG[name]
    kept = {"title": "A title worth keeping", "body": "Words worth <b>keeping</b>"} | changes
    status, path, page = await send_form(client, **kept)
    assert (status, path) == (422, "/desk/messages/new")
    said = [render_back(each) for each in errors_in(page)]
    assert any(sentence in each for each in said), said
    if "title" not in changes:
        assert 'value="A title worth keeping"' in page
    if "body" not in changes:
        assert "Words worth &lt;b&gt;keeping&lt;/b&gt;</textarea>" in page
    assert "<title>Error:" in page
    async with desk.db.transaction(read_only=True) as tx:
        assert await tx.scalar(select(func.count()).select_from(Message)) == 0


def render_back(text: str) -> str:
    return text.replace("&#39;", "'").replace("&amp;", "&")


async def test_every_fault_is_told_at_once_in_the_order_of_the_page(client: Client) -> None:
    _, _, page = await send_form(client, kind=None, title="", body="", areas=None, media=None, when="later")
    said = [each.split(" ")[0] for each in errors_in(page)]
    assert said == ["Choose", "Write", "Write", "Choose", "Choose", "Enter"]


def next_change(*, month: int) -> date:
    """The next last Sunday of March or October, when the clocks change."""
    today = date.today()  # noqa: DTZ011 - the night is weeks wide
    for year in (today.year, today.year + 1):
        last = date(year, month, 31)
        last -= timedelta(days=(last.weekday() + 1) % 7)
        if last > today + timedelta(days=2):
            return last
    raise AssertionError("every year has one")


async def test_a_night_when_the_clocks_change_is_asked_about(desk: Desk, client: Client) -> None:
    spring = {"when": "later", "send_date": next_change(month=3).isoformat(), "send_time": "01:30"}
    status, _, page = await send_form(client, **spring)
    assert status == 422
    assert 'name="send_clock" value="next"' in page
    path = await drafted(client, **spring, send_clock="next")
    autumn = {"when": "later", "send_date": next_change(month=10).isoformat(), "send_time": "01:30"}
    status, _, page = await send_form(client, path=path, **autumn)
    assert status == 422
    assert "comes twice" in page
    _, reached, _ = await send_form(client, path=path, **autumn, send_clock="second")
    assert reached == f"{path}/preview"
    async with desk.db.transaction(read_only=True) as tx:
        send_at = await tx.scalar(select(Message.send_at))
    assert (send_at.hour, send_at.minute) == (1, 30)  # GMT, so UTC
    assert 'name="send_clock" value="second"' not in await (await client.get(path)).text()


CORPUS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "<iframe src=//evil.example></iframe>",
    "<a href=//evil.example>x</a>",
    "<style>*{display:none}</style>",
    "' onmouseover='alert(1)",
    "\u202egnp.exe",
)


@pytest.mark.parametrize("payload", CORPUS)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_markup_is_shown_as_it_was_typed(desk: Desk, client: Client, payload: str) -> None:
    path = await drafted(client, title=f"T {payload}", body=f"B {payload}", media=["email", "sms", "social"])
    for address in (path, f"{path}/preview", f"{path}/preview/email", "/desk"):
        assert dangers_in(await (await client.get(address)).text()) == [], address
    await approve(client, path)
    assert dangers_in(await (await client.get(f"{path}/progress")).text()) == []
    await desk.settle()
    mail = next(sent for sent in desk.memory.sent if sent.words.html)
    assert dangers_in(mail.words.html) == []
    assert f"B {payload}" in mail.words.text


class Dangers(HTMLParser):
    """Every tag or attribute of a page that no template of ours writes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        links = [values.get("href", ""), values.get("src", ""), values.get("action", "")]
        is_ours = tag == "script" and values.get("src", "").startswith("/static/progress.js?v=")
        if (
            (tag in ("script", "img", "object", "embed") and not is_ours)
            or any(name.startswith("on") for name in values)
            or any("evil.example" in link or link.startswith("javascript:") for link in links)
            or (tag == "iframe" and not values.get("src", "").startswith("/desk/"))
        ):
            self.found.append(f"{tag} {values}")


def dangers_in(page: str) -> list[str]:
    reader = Dangers()
    reader.feed(page)
    return reader.found


def test_every_state_and_kind_has_words() -> None:
    words: Any = render._pages().get_template("desk/_words.html").module
    for state in [*DeliveryState, "waiting_for_digest"]:
        assert str(words.delivery_state(state)).strip()
    for state in MessageState:
        assert "tag" in str(words.message_state(state))
    for kind in Kind:
        assert str(words.kind(kind)).strip()


async def test_several_teams_are_chosen_from_and_one_page_shows_them_all(desk: Desk) -> None:
    await desk.officer("grace@force.example", Role.COORDINATOR, None)
    async with desk.signed_in("grace@force.example") as client:
        home = await (await client.get("/desk")).text()
        assert "Your teams" in home
        choice = await (await client.get("/desk/messages/new")).text()
        assert "Which team is it from?" in choice
        path = "/desk/messages/new?team=castle-dock"
        _, reached, page = await send_form(client, path=path, areas=ward(2))
        assert reached.endswith("/preview"), errors_in(page)
    async with desk.db.transaction(read_only=True) as tx:
        assert await tx.scalar(select(Message.team_id)) == desk.world.teams[1]


async def test_a_draft_approved_meanwhile_cannot_be_changed(desk: Desk, client: Client) -> None:
    path = await drafted(client)
    page = await (await client.get(path)).text()
    await approve(client, path)
    values = [*MESSAGE.items(), ("areas", ward(0)), ("form_token", token_in(page)), ("title", "Other")]
    async with client.post(path, data=values) as response:
        assert response.status in (400, 409)
    async with desk.db.transaction() as tx:
        await tx.execute(update(Message).values(state=MessageState.DONE))
    assert (await client.get(path)).url.path == f"{path}/progress"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_form_with_a_field_twice_is_refused(client: Client) -> None:
    response = await submit(client, "/desk/messages/new", [("title", "a"), ("title", "b")])
    assert response.status == 400
