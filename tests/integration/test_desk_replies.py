"""Replies on the desk: the queue, the conversation, the answer that goes back, and what never does."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update

from notifier.db import Database
from notifier.models import AuditEvent, Conversation, ConversationState, Role
from tests.integration.desk import Client, Desk, hidden_in, open_desk, text_in, token_in
from tests.world import make_people

EMAIL = "sam@force.example"


@pytest.fixture
async def desk(db: Database) -> AsyncIterator[Desk]:
    async with open_desk(db) as opened:
        await opened.officer(EMAIL, Role.OFFICER, opened.world.teams[0])
        yield opened


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[Client]:
    async with desk.signed_in(EMAIL) as browser:
        yield browser


async def send(client: Client, conversation: UUID, button: str, **values: str) -> tuple[int, str, str]:
    """Open the conversation, fill in a form of it and send it: status, path, page."""
    path = f"/desk/conversations/{conversation}"
    page = await (await client.get(path)).text()
    if button in ("answer", "resolve"):
        values.setdefault("version", hidden_in(page, "version"))
    response = await client.post(f"{path}/{button}", data={"form_token": token_in(page), **values})
    return response.status, response.url.path, await response.text()


async def test_a_reply_is_answered_and_the_answer_goes_back_by_text(desk: Desk, client: Client) -> None:
    conversation = await text_in(desk, "The lights are out on Mill Lane")
    queue = await (await client.get("/desk/queue")).text()
    assert "The lights are out on Mill Lane" in queue
    page = await (await client.get(f"/desk/conversations/{conversation}")).text()
    assert "Why it came here" in page
    assert desk.world.addresses[desk.world.points[desk.world.subscribers[0], "sms"]] not in page
    status, path, page = await send(
        client, conversation, "answer", text="Thank you. We have told the council."
    )
    assert (status, path) == (200, f"/desk/conversations/{conversation}")
    assert "Waiting for them" in page
    await desk.settle()
    assert "We have told the council." in desk.memory.sent[-1].words.text
    page = await (await client.get(path)).text()
    link = re.search(r'href="(/desk/deliveries/[a-z0-9]+)">Sent<', page)
    assert link
    assert "Attempt 1 accepted" in await (await client.get(link[1])).text()
    async with desk.db.transaction(read_only=True) as tx:
        assert await tx.scalar(select(func.count()).where(AuditEvent.action == "answered")) == 1


async def test_an_answer_written_over_an_unread_reply_is_kept_and_not_sent(
    desk: Desk, client: Client
) -> None:
    conversation = await text_in(desk, "First words")
    page = await (await client.get(f"/desk/conversations/{conversation}")).text()
    await text_in(desk, "Second words")
    data = {"form_token": token_in(page), "version": hidden_in(page, "version"), "text": "An <answer>"}
    async with client.post(f"/desk/conversations/{conversation}/answer", data=data) as response:
        page = await response.text()
        assert response.status == 409
    assert "Second words" in page
    assert "An &lt;answer&gt;</textarea>" in page
    assert "Something new has come in" in page
    data |= {"form_token": token_in(page), "version": hidden_in(page, "version")}
    async with client.post(f"/desk/conversations/{conversation}/answer", data=data) as response:
        assert response.status == 200


async def test_an_empty_answer_and_one_of_too_many_parts_say_so(desk: Desk, client: Client) -> None:
    conversation = await text_in(desk, "Hello")
    status, _, page = await send(client, conversation, "answer", text="  ")
    assert (status, "Write an answer" in page) == (422, True)
    status, _, page = await send(client, conversation, "answer", text="long words " * 200)
    assert (status, "Shorten it to 6" in page) == (422, True)
    assert "long words long words" in page


async def test_how_long_an_answer_is_can_be_asked_before_it_is_sent(desk: Desk, client: Client) -> None:
    conversation = await text_in(desk, "Hello")
    before = len(desk.memory.sent)
    status, _, page = await send(client, conversation, "answer", text="We will come – soon", action="check")
    assert status == 200
    assert "1 text" in page
    assert "We will come – soon</textarea>" in page
    await desk.settle()
    assert len(desk.memory.sent) == before


async def test_what_is_urgent_comes_first_and_can_be_shown_alone(desk: Desk, client: Client) -> None:
    await text_in(desk, "Thank you for the patrols", person=0)
    await text_in(desk, "999 help, he followed me home", person=1)
    page = await (await client.get("/desk/queue")).text()
    assert page.index("999 help") < page.index("Thank you for the patrols")
    page = await (await client.get("/desk/queue?urgent=yes")).text()
    assert "999 help" in page
    assert "Thank you for the patrols" not in page
    assert "urgent" in await (await client.get("/desk")).text()


async def test_a_conversation_is_taken_noted_resolved_and_given_back(desk: Desk, client: Client) -> None:
    conversation = await text_in(desk, "Hello")
    assert (await send(client, conversation, "take"))[0] == 200
    await desk.officer("tom@force.example", Role.OFFICER, desk.world.teams[0])
    async with desk.signed_in("tom@force.example") as other:
        assert (await send(other, conversation, "take"))[0] == 409
    assert (await send(client, conversation, "release"))[0] == 200
    before = len(desk.memory.sent)
    status, _, page = await send(client, conversation, "note", note="He <lives> at the corner")
    assert (status, "He &lt;lives&gt; at the corner" in page) == (200, True)
    assert (await send(client, conversation, "note", note=" "))[0] == 422
    assert (await send(client, conversation, "resolve"))[0] == 200
    await desk.settle()
    assert len(desk.memory.sent) == before
    assert "He &lt;lives&gt;" not in await (await client.get("/desk/queue?show=all")).text()
    async with desk.db.transaction(read_only=True) as tx:
        assert await tx.scalar(select(Conversation.state)) == ConversationState.RESOLVED


async def test_handing_over_takes_it_from_this_teams_sight(desk: Desk, client: Client) -> None:
    conversation = await text_in(desk, "It is about the castle")
    to = str(desk.world.teams[1])
    assert (await send(client, conversation, "hand-over", team=to, reason=" "))[0] == 422
    assert (await send(client, conversation, "hand-over", team="x", reason="Theirs"))[0] == 422
    assert (await send(client, conversation, "hand-over", team=str(uuid4()), reason="Theirs"))[0] == 422
    status, path, _ = await send(client, conversation, "hand-over", team=to, reason="It is their ward")
    assert (status, path) == (200, "/desk/queue")
    assert (await client.get(f"/desk/conversations/{conversation}")).status == 404
    await desk.officer("other@force.example", Role.OFFICER, desk.world.teams[1])
    async with desk.signed_in("other@force.example") as other:
        page = await (await other.get(f"/desk/conversations/{conversation}")).text()
        assert "It is their ward" in page
        assert "Corrected:" in page


@pytest.mark.parametrize(
    "words",
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{7*7}}", "=HYPERLINK(1)", "a\u202eb"],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_residents_write_is_shown_as_words(desk: Desk, client: Client, words: str) -> None:
    conversation = await text_in(desk, f"Words {words}")
    for path in ("/desk/queue", f"/desk/conversations/{conversation}"):
        page = await (await client.get(path)).text()
        assert "<script" not in page
        assert "<img" not in page
        assert "49" not in page.split("Words")[1][:20]
        assert "Words" in page


async def test_replies_are_counted_by_how_long_they_wait(desk: Desk, client: Client) -> None:
    first = await text_in(desk, "Hello", person=0)
    await text_in(desk, "Hello again", person=1)
    async with desk.db.transaction() as tx:
        await tx.execute(
            update(Conversation)
            .where(Conversation.id == first)
            .values(last_entry_at=tx.now - timedelta(days=5))
        )
    page = await (await client.get("/desk")).text()
    found = dict(re.findall(r"<dt>([\w ]+)</dt><dd>(\d+)</dd>", page))
    assert (found["came today"], found["wait 1 to 3 days"], found["wait longer"]) == ("1", "0", "1")


async def test_a_long_queue_is_read_page_by_page(desk: Desk, client: Client) -> None:
    async with desk.db.transaction() as tx:
        await make_people(tx, desk.world, 30, wards=[0], media=("sms",))
    for person in range(12, 39):
        await text_in(desk, f"Reply number {person}", person=person)
    first = await (await client.get("/desk/queue")).text()
    second = await (await client.get("/desk/queue?page=2")).text()
    numbers = [set(re.findall(r"Reply number (\d+)", page)) for page in (first, second)]
    assert (len(numbers[0]), len(numbers[1])) == (25, 2)
    assert not numbers[0] & numbers[1]


@pytest.mark.parametrize(
    "asked", ["show=x", "page=0", "page=-1", "page=x", "page=99999999999", "show=all&show=all"]
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_queue_nobody_has_is_400(client: Client, asked: str) -> None:
    assert (await client.get(f"/desk/queue?{asked}")).status == 400
