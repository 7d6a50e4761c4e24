"""The desk's brakes: holds with their banner, corrections, the same words twice, and what waits for a person."""

import asyncio
import re
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import select, update

from channels.base import Refusal, Refused
from notifier.db import Database
from notifier.models import AuditEvent, Delivery, Hold, Message, Role
from notifier.web.desk import progress
from tests.integration.desk import Client, Desk, hidden_in, open_desk, run_jobs, submit, token_in
from tests.integration.desk_forms import approve, drafted, errors_in, press, send_form

EMAIL = "sam@force.example"


@pytest.fixture
async def desk(db: Database) -> AsyncIterator[Desk]:
    async with open_desk(db, NOTIFIER_CANARY_ABOVE="1") as opened:
        await opened.officer(EMAIL, Role.SERGEANT, opened.world.teams[0])
        yield opened


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[Client]:
    async with desk.signed_in(EMAIL) as browser:
        yield browser


async def text_of(client: Client, path: str) -> str:
    return await (await client.get(path)).text()


async def test_a_hold_is_asked_about_stands_on_every_page_and_is_lifted(desk: Desk, client: Client) -> None:
    await desk.officer("cen@force.example", Role.CENTRAL, desk.world.central, name="Cen Tral")
    assert "/desk/sending" not in await text_of(client, "/desk")
    assert (await client.get("/desk/sending")).status == 403
    async with desk.signed_in("cen@force.example") as central:
        assert "Nothing is held" in await text_of(central, "/desk/sending")
        ask = "/desk/sending/hold?scope=channel&key=memory"
        assert "Hold the channel memory?" in await text_of(central, ask)
        sent = {"scope": "channel", "key": "memory"}
        response = await submit(central, "/desk/sending/hold", {**sent, "reason": " "}, page=ask)
        assert response.status == 422
        assert errors_in(await response.text()) == ["Say why, for those who wonder what happened."]
        values = {**sent, "reason": "texts arrive twice"}
        assert (await submit(central, "/desk/sending/hold", values, page=ask)).status == 200
        assert (await submit(central, "/desk/sending/hold", values, page=ask)).status == 409
        for path in ("/desk", "/desk/queue", "/desk/messages/new"):
            page = await text_of(client, path)
            assert "Emails, text messages, posts and notifications are held." in page.replace("push", "")
            assert "texts arrive twice" in page
        assert "By Cen Tral" in await text_of(central, "/desk/sending")
        ask = "/desk/sending/release?scope=channel&key=memory"
        assert (await submit(central, "/desk/sending/release", sent, page=ask)).status == 200
    assert "are held" not in await text_of(client, "/desk")
    async with desk.db.transaction(read_only=True) as tx:
        rows = await tx.execute(
            select(AuditEvent.action, AuditEvent.reason).where(AuditEvent.object_kind == "sending_channel")
        )
        assert [tuple(row) for row in rows] == [("held", "texts arrive twice"), ("released", None)]


async def test_a_coordinator_holds_their_own_team_and_nothing_wider(desk: Desk) -> None:
    mine, theirs = desk.world.teams[:2]
    await desk.officer("coo@force.example", Role.COORDINATOR, mine)
    async with desk.signed_in("coo@force.example") as client:
        page = await text_of(client, "/desk/sending")
        assert "Hold all sending" not in page
        assert str(theirs) not in page
        values = {"scope": "team", "key": str(mine), "reason": "wrong words"}
        asked = f"/desk/sending/hold?scope=team&key={mine}"
        assert (await submit(client, "/desk/sending/hold", values, page=asked)).status == 200
        token = token_in(page)
        for scope, key in (("team", str(theirs)), ("channel", "memory"), ("system", "")):
            data = {"form_token": token, "scope": scope, "key": key, "reason": "x"}
            assert (await client.post("/desk/sending/hold", data=data)).status == 403
        data = {"form_token": token, "scope": "team", "key": str(UUID(int=7)), "reason": "x"}
        assert (await client.post("/desk/sending/hold", data=data)).status == 404
    async with desk.db.transaction(read_only=True) as tx:
        assert (await tx.execute(select(Hold.key))).scalars().all() == [str(mine)]


async def test_a_correction_is_written_from_the_first_message_and_sent_to_those_who_got_it(
    desk: Desk, client: Client
) -> None:
    path = await drafted(client)
    await approve(client, path)
    await desk.settle()
    await desk.worker.sweep()
    page = await text_of(client, f"{path}/progress")
    data = {"form_token": token_in(page), "form_key": hidden_in(page, "form_key")}
    reached = {(await client.post(f"{path}/correct", data=data)).url.path for _ in range(2)}
    assert len(reached) == 1  # a double click
    correction = reached.pop()
    page = await text_of(client, correction)
    assert 'name="areas"' not in page
    assert "Part of that was wrong" in page
    words = {"title": "Not this evening", "body": "Tomorrow.", "kind": None, "areas": None, "media": None}
    _, shown, page = await send_form(client, path=correction, **words)
    assert shown == f"{correction}/preview", errors_in(page)
    assert re.search(r"<dt>emails</dt><dd>2</dd>", page)
    desk.memory.sent.clear()
    assert (await approve(client, correction))[1] == f"{correction}/progress"
    await desk.settle()
    assert [sent.words.subject for sent in desk.memory.sent] == ["Correction: Not this evening"] * 2


async def test_the_same_words_go_again_only_when_it_is_said_that_they_are_meant(
    desk: Desk, client: Client
) -> None:
    await approve(client, await drafted(client))
    path = await drafted(client)
    status, _, page = await approve(client, path)
    assert status == 409
    assert "The same words were approved on" in page
    data = {"form_token": token_in(page), "seen": hidden_in(page, "seen"), "is_meant": "yes"}
    async with client.post(f"{path}/approve", data=data) as response:
        assert response.url.path == f"{path}/progress"
    async with desk.db.transaction(read_only=True) as tx:
        assert await tx.scalar(select(Message.doubles_id).where(Message.doubles_id.is_not(None)))


async def test_a_message_that_stopped_by_itself_says_why_and_what_to_do(desk: Desk, client: Client) -> None:
    for address in desk.world.addresses.values():
        desk.memory.script(address, *[Refused(why=Refusal.CONTENT, reason="looks like spam")] * 3)
    path = await drafted(client, media=["email", "sms"], areas=["E05990001", "E05990002"])
    await approve(client, path)
    await desk.settle()
    why = r"(\d) of the first \d could not be sent: looks like spam\."
    assert re.search(why, await text_of(client, "/desk"))
    page = await text_of(client, f"{path}/progress")
    found = re.search(why, page)
    assert found
    held = int(found[1])
    data = {"form_token": token_in(page), "state": "held", "reason": "looks like spam"}
    assert f"{held} held back: looks like spam" in page
    assert (await client.post(f"{path}/give-up", data={**data, "state": "accepted"})).status == 404
    await client.post(f"{path}/give-up", data=data)
    assert await press(client, path, "resume") == 200
    async with desk.db.transaction(read_only=True) as tx:
        given = await tx.execute(select(Delivery.reason).where(Delivery.state == "failed"))
        assert given.scalars().all() == ["given up: looks like spam"] * held


async def test_the_numbers_are_sent_as_they_change_until_nothing_moves(
    desk: Desk, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.05)
    path = await drafted(client)
    await approve(client, path)
    await run_jobs(desk)
    async with client.get(f"{path}/progress/events") as response:
        assert response.content_type == "text/event-stream"
        first = await asyncio.wait_for(response.content.readuntil(b"\n\n"), 5)
        assert first.startswith(b"event: numbers\ndata: ")
        await desk.settle()
        await desk.worker.sweep()
        rest = (await asyncio.wait_for(response.content.read(), 10)).decode()
    assert rest.rstrip().endswith("event: end\ndata:")
    assert "2 of 2" in rest


async def test_streams_end_when_the_service_stops(desk: Desk) -> None:
    async with desk.signed_in(EMAIL) as client:
        path = await drafted(client)
        await approve(client, path)
        response = await client.get(f"{path}/progress/events")
        await asyncio.wait_for(response.content.readuntil(b"\n\n"), 5)
        await asyncio.wait_for(client.server.close(), 5)  # not the four minutes a stream may last
        response.close()


async def test_when_words_are_of_no_use_and_why_they_cannot_wait_are_kept(desk: Desk, client: Client) -> None:
    assert "override_reason" not in await text_of(client, "/desk/messages/new")
    status, _, page = await send_form(client, override_reason="A child is missing")
    assert status == 422
    assert "Ask a coordinator" in page
    status, _, page = await send_form(client, end_time="18:00")
    assert errors_in(page) == ["Enter the date after which it is of no use."]
    status, _, page = await send_form(client, end_date="2001-01-01")
    assert errors_in(page) == ["Choose a time after the message goes out."]
    await desk.officer("coo@force.example", Role.COORDINATOR, desk.world.teams[0])
    async with desk.signed_in("coo@force.example") as coordinator:
        path = await drafted(
            coordinator, end_date="2031-06-01", end_time="18:00", override_reason="A child is missing"
        )
        page = await text_of(coordinator, path)
        assert 'value="2031-06-01"' in page
        assert 'value="A child is missing"' in page
        assert "because: A child is missing" in await text_of(coordinator, f"{path}/preview")
        await approve(coordinator, path)
    async with desk.db.transaction(read_only=True) as tx:
        row = (await tx.execute(select(Message.expires_at, Message.override_reason))).one()
        assert (row.expires_at.isoformat(), row.override_reason) == (
            "2031-06-01T17:00:00+00:00",
            "A child is missing",
        )
        reason = select(AuditEvent.reason).where(AuditEvent.action == "approved")
        assert await tx.scalar(reason) == "A child is missing"


async def test_a_message_whose_time_has_passed_is_not_approved(desk: Desk, client: Client) -> None:
    path = await drafted(client, end_date="2031-06-01")
    async with desk.db.transaction() as tx:
        await tx.execute(update(Message).values(expires_at=tx.now))
    status, _, page = await approve(client, path)
    assert status == 409
    assert "of no use has passed" in page
