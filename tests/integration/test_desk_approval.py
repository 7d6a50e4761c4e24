"""From draft to delivered: one officer or two, words that must not change, and the buttons that stop it."""

import re
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import select

from channels.base import Refusal, Refused
from notifier.db import Database
from notifier.models import Message, MessageState, Role
from subscribers.models import Frequency
from tests.integration.desk import Client, Desk, hidden_in, open_desk, token_in
from tests.integration.desk_forms import approve, drafted, press, send_form
from tests.world import BOROUGH, make_people

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


# --- Approval ----------------------------------------------------------------------------------------------


async def test_an_alert_beyond_the_teams_own_wards_needs_two_people(desk: Desk) -> None:
    team = desk.world.teams[0]
    first = await desk.officer("grace@force.example", Role.COORDINATOR, team, name="Grace First")
    second = await desk.officer("sol@force.example", Role.COORDINATOR, team, name="Sol Second")
    async with desk.signed_in("grace@force.example") as one, desk.signed_in("sol@force.example") as two:
        path = await drafted(one, kind="alert", areas=BOROUGH)
        page = await (await one.get(f"{path}/preview")).text()
        assert "Two people" in page
        for _ in range(2):  # pressing again is no second person
            _, reached, _ = await approve(one, path) if 'name="seen"' in page else (0, "", "")
            page = await (await one.get(f"{path}/preview")).text()
        assert "You have approved it" in page
        await desk.settle()
        assert desk.memory.sent == []
        assert "Waiting for a second person" in await (await two.get("/desk")).text()
        _, reached, page = await approve(two, path)
        assert reached == f"{path}/progress"
    await desk.settle()
    assert len(desk.memory.sent) == 12  # everybody in the borough with an email address
    async with desk.db.transaction(read_only=True) as tx:
        row = (await tx.execute(select(Message.approved_by, Message.second_approver))).one()
        assert tuple(row) == (first, second)


async def test_a_change_takes_the_first_approval_back(desk: Desk) -> None:
    for name in ("grace", "sol"):
        await desk.officer(f"{name}@force.example", Role.COORDINATOR, desk.world.teams[0])
    async with desk.signed_in("grace@force.example") as one, desk.signed_in("sol@force.example") as two:
        path = await drafted(one, kind="alert", areas=BOROUGH)
        await approve(one, path)
        await send_form(two, path=path, kind="alert", areas=BOROUGH, title="Other words")
        _, reached, _ = await approve(two, path)
        assert reached == f"{path}/preview"
    async with desk.db.transaction(read_only=True) as tx:
        assert await tx.scalar(select(Message.state)) == MessageState.DRAFT


async def test_words_changed_since_they_were_read_are_not_approved(desk: Desk, client: Client) -> None:
    path = await drafted(client)
    page = await (await client.get(f"{path}/preview")).text()
    await send_form(client, path=path, title="Other words")
    data = {"form_token": token_in(page), "seen": hidden_in(page, "seen")}
    async with client.post(f"{path}/approve", data=data) as response:
        assert response.status == 409
        assert "Somebody has changed this message" in await response.text()


async def test_a_message_that_reaches_nobody_is_not_sent(desk: Desk, client: Client) -> None:
    path = await drafted(client, topics="road-safety")
    status, _, page = await approve(client, path)
    assert status == 409
    assert "This would reach nobody" in page


async def test_an_officer_writes_and_a_sergeant_approves(desk: Desk, client: Client) -> None:
    await desk.officer("tom@force.example", Role.OFFICER, desk.world.teams[0])
    async with desk.signed_in("tom@force.example") as officer:
        path = await drafted(officer)
        page = await (await officer.get(f"{path}/preview")).text()
        assert "Approve" not in page.replace("Who must approve", "")
        assert "A sergeant of the team can approve it" in page
    assert (await approve(client, path))[1] == f"{path}/progress"


async def test_the_same_words_within_a_day_are_noticed(desk: Desk, client: Client) -> None:
    await approve(client, await drafted(client))
    page = await (await client.get(f"{await drafted(client)}/preview")).text()
    assert "The same words went out within the last 24 hours" in page


async def test_cautions_are_shown_and_do_not_stand_in_the_way(desk: Desk, client: Client) -> None:
    path = await drafted(client, title="PLEASE READ THIS NOW", body="See bit.ly/x")
    page = await (await client.get(f"{path}/preview")).text()
    assert "IN CAPITALS" in page
    assert "bit.ly hides where a link goes" in page
    assert (await approve(client, path))[0] == 200


# --- On its way --------------------------------------------------------------------------------------------


async def test_a_message_is_paused_resumed_and_cancelled(desk: Desk, client: Client) -> None:
    path = await drafted(client)
    await approve(client, path)
    await desk.worker.handlers["plan"](path.rpartition("/")[2])
    assert await press(client, path, "pause") == 200
    await desk.worker.drain()
    assert desk.memory.sent == []
    page = await (await client.get(f"{path}/progress")).text()
    assert "Nothing more goes out until somebody resumes it" in page
    assert await press(client, path, "resume") == 200
    assert await press(client, path, "cancel") == 200
    await desk.worker.drain()
    assert desk.memory.sent == []
    assert await press(client, path, "cancel") == 409
    page = await (await client.get(f"{path}/progress")).text()
    assert "What had not begun never will" in page


async def test_the_page_looks_again_only_while_something_moves(desk: Desk, client: Client) -> None:
    path = await drafted(client)
    await approve(client, path)
    again = '<noscript><meta http-equiv="refresh" content="3"></noscript>'
    page = await (await client.get(f"{path}/progress")).text()
    assert again in page
    assert f'data-events="{path}/progress/events"' in page
    page = await (await client.get(f"{path}/progress?still=yes")).text()
    assert again not in page
    assert "data-events" not in page
    await desk.settle()
    page = await (await client.get(f"{path}/progress")).text()
    assert again not in page
    assert "data-events" not in page


async def test_who_chose_a_digest_is_counted_apart_everywhere(desk: Desk, client: Client) -> None:
    async with desk.db.transaction() as tx:
        await make_people(tx, desk.world, 3, wards=[0], media=("email",), frequency=Frequency.DAILY)
    path = await drafted(client)
    page = await (await client.get(f"{path}/preview")).text()
    assert re.search(r"<dt>in the next digest</dt><dd>3</dd>", page)
    await approve(client, path)
    await desk.settle()
    page = await (await client.get(f"{path}/progress")).text()
    assert re.search(r'<th scope="row">Email</th>(<td class="number">\d+</td>){5}', page)
    numbers = re.search(r'<th scope="row">Email</th>((?:<td class="number">\d+</td>)+)', page)
    assert numbers
    assert re.findall(r">(\d+)<", numbers[1]) == ["2", "0", "3", "0", "5"]


async def test_why_some_were_not_reached_is_listed_with_their_timelines(desk: Desk, client: Client) -> None:
    person = desk.world.subscribers[0]
    address = desk.world.addresses[desk.world.points[person, "email"]]
    desk.memory.script(address, Refused(why=Refusal.BAD_ADDRESS, reason="no such mailbox"))
    path = await drafted(client)
    await approve(client, path)
    await desk.settle()
    page = await (await client.get(f"{path}/progress")).text()
    assert "no such mailbox" in page
    assert address not in page
    link = re.search(r'href="(/desk/deliveries/[a-z0-9]+)"', page)
    assert link
    timeline = await (await client.get(link[1])).text()
    assert "Attempt 1" in timeline
    assert address not in timeline
