"""The API as a program meets it: tokens, strict bodies, every fault at once, and nothing done twice."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select

from channels.base import Incoming, Medium
from notifier.db import Database
from notifier.inbox import receive
from notifier.models import Delivery, Message, MessageState, Notice, Role
from notifier.staff.api_tokens import Scope
from notifier.web import api
from notifier.web.api.operation import PREFIX
from tests.integration.api_calls import DRAFT, call, drafted, token
from tests.integration.desk import Client, Desk, open_desk
from tests.world import ward


@pytest.fixture
async def desk(db: Database) -> AsyncIterator[Desk]:
    async with open_desk(db) as opened:
        yield opened


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[Client]:
    async with desk.browser() as browser:
        yield browser


# --- The main job --------------------------------------------------------------------------------


async def test_a_message_goes_from_draft_to_counts_that_sum_to_its_audience(
    desk: Desk, client: Client
) -> None:
    headers = await token(desk)
    message = await drafted(client, headers)
    status, approved = await call(client, "POST", f"/messages/{message}/approve", headers)
    assert (status, approved["state"]) == (200, "approved")
    await desk.settle()
    status, found = await call(client, "GET", f"/messages/{message}", headers)
    assert found["audience"] == 8  # four of twelve people live in these wards, each with email and phone
    assert sum(found["counts"].values()) == found["audience"]
    assert len(desk.memory.sent) == 8


async def test_pause_resume_and_cancel_do_what_they_say(desk: Desk, client: Client) -> None:
    headers = await token(desk)
    message = await drafted(client, headers)
    assert (await call(client, "POST", f"/messages/{message}/pause", headers))[0] == 409
    await call(client, "POST", f"/messages/{message}/approve", headers)
    async with desk.db.transaction():
        pass
    await desk.worker.handlers["plan"](message)
    assert (await call(client, "POST", f"/messages/{message}/pause", headers))[1]["state"] == "paused"
    await desk.worker.drain()
    assert desk.memory.sent == []
    assert (await call(client, "POST", f"/messages/{message}/resume", headers))[1]["state"] == "sending"
    status, ended = await call(client, "POST", f"/messages/{message}/cancel", headers)
    assert (status, ended["state"], ended["counts"]) == (200, "cancelled", {"cancelled": 8})


async def test_the_same_words_are_asked_about_and_a_correction_follows_the_first(
    desk: Desk, client: Client
) -> None:
    headers = await token(desk)
    first, again = await drafted(client, headers), await drafted(client, headers)
    assert (await call(client, "POST", f"/messages/{first}/approve", headers))[0] == 200
    status, problem = await call(client, "POST", f"/messages/{again}/approve", headers)
    assert status == 409
    assert "The same words were approved on" in problem["detail"]
    allowed = {"allow_duplicate": True}
    status, found = await call(client, "POST", f"/messages/{again}/approve", headers, allowed)
    assert (status, found["doubles"]) == (200, first)
    await desk.settle()
    await desk.worker.sweep()
    corrected = f"/messages/{first}/correct"
    status, made = await call(client, "POST", corrected, headers, {"body": "Not this week."})
    assert (status, made["kind"], made["corrects"], made["areas"]) == (
        201,
        "correction",
        first,
        [ward(0), ward(1)],
    )
    assert made["texts"]["en"] == {"title": "Patrols in the park", "body": "Not this week."}
    await call(client, "POST", f"/messages/{made['id']}/approve", headers)
    await desk.settle()
    assert (await call(client, "GET", f"/messages/{made['id']}", headers))[1]["audience"] == 8


async def test_ten_retries_of_a_post_and_its_approval_are_one_post(desk: Desk, client: Client) -> None:
    headers = await token(desk)

    async def retried() -> str:
        status, made = await call(
            client, "POST", "/messages", headers, DRAFT, **{"Idempotency-Key": "duty-1"}
        )
        assert status == 201
        status, _ = await call(client, "POST", f"/messages/{made['id']}/approve", headers)
        assert status == 200
        return str(made["id"])

    assert len({await made for made in asyncio.as_completed([retried() for _ in range(10)])}) == 1
    await desk.settle()
    assert len(desk.memory.sent) == 8


async def test_only_an_officers_token_overrides_quiet_hours_and_words_may_run_out(
    desk: Desk, client: Client
) -> None:
    body = {**DRAFT, "override_reason": "A child is missing", "expires_at": "2031-06-01T18:00:00+01:00"}
    assert (await call(client, "POST", "/messages", await token(desk), body))[0] == 403
    officer = await desk.officer("coo@force.example", Role.COORDINATOR, desk.world.teams[0])
    status, made = await call(client, "POST", "/messages", await token(desk, officer=officer), body)
    assert (status, made["override_reason"]) == (201, "A child is missing")
    assert made["expires_at"] == "2031-06-01T17:00:00Z"


async def test_an_answer_goes_back_and_needs_the_version_that_was_read(desk: Desk, client: Client) -> None:
    officer = await desk.officer("sam@force.example", Role.OFFICER, desk.world.teams[0])
    headers = await token(desk, officer=officer)
    conversation = await text_in(desk)
    status, found = await call(client, "GET", f"/conversations/{conversation}", headers)
    assert (status, found["entries"][0]["text"]) == (200, "The lights are out")
    path = f"/conversations/{conversation}/answer"
    stale = {"text": "Thank you", "version": found["version"] - 1 or 999}
    assert (await call(client, "POST", path, headers, stale))[0] == 409
    sent = {"text": "Thank you, we will look", "version": found["version"]}
    status, answered = await call(client, "POST", path, headers, sent)
    assert (status, answered["state"], len(answered["entries"])) == (201, "waiting", 2)
    await desk.settle()
    assert "Thank you, we will look" in desk.memory.sent[-1].words.text


async def text_in(desk: Desk) -> str:
    """A resident of the first ward has texted the first team; the id of the conversation."""
    person = desk.world.subscribers[0]
    sender = desk.world.addresses[desk.world.points[person, "sms"]]
    async with desk.db.transaction() as tx:
        event = Incoming(
            event_id=str(uuid4()),
            medium=Medium.SMS,
            sender=sender,
            recipient=desk.world.numbers[0],
            text="The lights are out",
            at=None,
            raw=b"",
        )
        await receive.store(tx, "memory", event)
    await desk.settle()
    async with desk.db.transaction(read_only=True) as tx:
        from notifier.models import Conversation

        return str(await tx.scalar(select(Conversation.id)))


async def test_a_delivery_is_read_by_its_token_and_by_no_other_team(desk: Desk, client: Client) -> None:
    headers = await token(desk)
    message = await drafted(client, headers)
    await call(client, "POST", f"/messages/{message}/approve", headers)
    await desk.settle()
    async with desk.db.transaction(read_only=True) as tx:
        number = await tx.scalar(select(func.min(Delivery.id)).where(Delivery.message_id == UUID(message)))
    status, by_number = await call(client, "GET", f"/deliveries/{number}", headers)
    assert status == 200
    status, by_token = await call(client, "GET", f"/deliveries/{by_number['id']}", headers)
    assert (status, by_token) == (200, by_number)
    assert [step["what"].split(":")[0] for step in by_token["steps"]][:2] == ["planned", "attempt 1 started"]
    assert (await call(client, "GET", f"/deliveries/{by_number['id']}", await token(desk, 1)))[0] == 404


async def test_signing_up_answers_the_same_for_known_and_unknown_people(desk: Desk, client: Client) -> None:
    headers = await token(desk)
    answers = [
        await call(client, "POST", "/subscribers", headers, {"email": email, "areas": [ward(0)]})
        for email in ("new@mail.example", "person0@mail.example")
    ]
    assert answers[0] == answers[1] == (202, {"status": "asked"})
    async with desk.db.transaction(read_only=True) as tx:
        assert await tx.scalar(select(func.count()).where(Notice.template == "confirm_email")) == 1


async def test_a_postcode_is_looked_up_without_a_token(desk: Desk, client: Client) -> None:
    status, found = await call(client, "GET", "/areas/lookup?postcode=SW1", {})
    assert (status, found["slug"]) == (200, "incomplete")
    assert found["message"]


# --- Who may call ------------------------------------------------------------------------------------


async def test_every_operation_but_the_lookup_refuses_whoever_has_no_good_token(
    desk: Desk, client: Client
) -> None:
    good = (await token(desk))["Authorization"]
    expired = await token(desk, good_for=timedelta(seconds=-1))
    bad = [
        {},
        {"Authorization": good[:-1] + ("a" if good[-1] != "a" else "b")},
        expired,
        {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."},
        {"Authorization": "Bearer " + "A" * 7000},
        {"Authorization": "Basic " + good.removeprefix("Bearer ")},
    ]
    for operation in api.OPERATIONS:
        if operation.scope is None:
            continue
        path = operation.path.replace("{id}", str(uuid4()))
        for headers in bad:
            async with client.request(operation.method, PREFIX + path, headers=headers) as response:
                assert response.status == 401, (operation.path, headers)
                assert response.headers["WWW-Authenticate"].startswith("Bearer")
                assert response.content_type == "application/problem+json"


async def test_two_tokens_or_a_token_in_the_address_count_for_nothing(desk: Desk, client: Client) -> None:
    good = (await token(desk))["Authorization"]
    pairs = [("Authorization", good), ("Authorization", good)]
    async with client.get(f"{PREFIX}/teams", headers=pairs) as response:
        assert response.status == 401
    async with client.get(f"{PREFIX}/teams?access_token={good.removeprefix('Bearer ')}") as response:
        assert response.status == 401


async def test_a_reading_token_writes_nothing(desk: Desk, client: Client) -> None:
    headers = await token(desk, scopes=frozenset({Scope.READ}))
    for operation in api.OPERATIONS:
        if operation.scope is Scope.WRITE:
            path = operation.path.replace("{id}", str(uuid4()))
            assert (await call(client, operation.method, path, headers, {}))[0] == 403
    async with desk.db.transaction(read_only=True) as tx:
        assert await tx.scalar(select(func.count()).select_from(Message)) == 0


async def test_what_is_another_teams_is_not_there(desk: Desk, client: Client) -> None:
    officer = await desk.officer("sam@force.example", Role.SERGEANT, desk.world.teams[1])
    mine, theirs = await token(desk), await token(desk, 1, officer=officer)
    message, conversation = await drafted(client, mine), await text_in(desk)
    ids = {"/messages/{id}": message, "/conversations/{id}": conversation, "/deliveries/{id}": "1"}
    tried = 0
    for operation in api.OPERATIONS:
        id_ = next((id_ for start, id_ in ids.items() if operation.path.startswith(start)), None)
        if id_ is None:
            continue
        body = {"text": "Hello", "version": 2} if operation.needs_body else None
        status, found = await call(
            client, operation.method, operation.path.replace("{id}", id_), theirs, body
        )
        assert status == 404, (operation.path, found)
        tried += 1
    assert tried == 9
    assert (await call(client, "GET", "/messages", theirs))[1]["items"] == []
    assert (await call(client, "GET", "/conversations", theirs))[1]["items"] == []


async def test_an_officer_who_lost_the_role_publishes_no_more(desk: Desk, client: Client) -> None:
    officer = await desk.officer("sam@force.example", Role.OFFICER, desk.world.teams[0])
    headers = await token(desk, officer=officer)
    message = await drafted(client, headers)
    assert (await call(client, "POST", f"/messages/{message}/approve", headers))[0] == 403


async def test_areas_beyond_the_teams_own_are_refused(desk: Desk, client: Client) -> None:
    status, found = await call(
        client, "POST", "/messages", await token(desk), {**DRAFT, "areas": [ward(0), ward(5)]}
    )
    assert (status, [error["pointer"] for error in found["errors"]]) == (422, ["/areas"])


# --- Pages -------------------------------------------------------------------------------------------


async def test_a_list_is_read_page_by_page_with_cursors_of_its_own(desk: Desk, client: Client) -> None:
    headers = await token(desk)
    made = [await drafted(client, headers, title=f"Message {number}") for number in range(5)]
    found: list[str] = []
    following = ""
    for _ in range(3):
        _, page = await call(client, "GET", f"/messages?limit=2{following}", headers)
        found += [item["id"] for item in page["items"]]
        following = f"&cursor={page['next']}"
        if page["next"] is None:
            break
        last = page["next"]
    assert found == made[::-1]
    assert (await call(client, "GET", f"/consultations?cursor={last}", headers))[0] == 400


# --- Nothing twice -----------------------------------------------------------------------------------


async def test_the_same_key_with_the_same_body_is_answered_the_same(desk: Desk, client: Client) -> None:
    headers = await token(desk) | {"Idempotency-Key": "draft-1"}
    first, second = [await call(client, "POST", "/messages", headers, dict(DRAFT)) for _ in range(2)]
    assert first == second
    assert first[0] == 201
    assert (await call(client, "POST", "/messages", headers, {**DRAFT, "title": "Other"}))[0] == 409
    other = await token(desk) | {"Idempotency-Key": "draft-1"}
    assert (await call(client, "POST", "/messages", other, dict(DRAFT)))[1]["id"] != first[1]["id"]
    async with desk.db.transaction(read_only=True) as tx:
        assert await tx.scalar(select(func.count()).select_from(Message)) == 2


async def test_two_calls_at_once_with_one_key_make_one_message(desk: Desk, client: Client) -> None:
    headers = await token(desk) | {"Idempotency-Key": "race"}
    answers = await asyncio.gather(
        *(call(client, "POST", "/messages", headers, dict(DRAFT)) for _ in range(5))
    )
    assert {status for status, _ in answers} == {201}
    assert len({found["id"] for _, found in answers}) == 1


async def test_a_call_that_failed_may_be_tried_again_with_its_key(desk: Desk, client: Client) -> None:
    headers = await token(desk) | {"Idempotency-Key": "again"}
    assert (await call(client, "POST", "/messages", headers, {**DRAFT, "topics": ["none"]}))[0] == 422
    assert (await call(client, "POST", "/messages", headers, dict(DRAFT)))[0] == 201


@pytest.mark.parametrize("key", ["", "k" * 256, "schlüssel", "two words"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_key_that_is_none_is_400(desk: Desk, client: Client, key: str) -> None:
    headers = await token(desk) | {"Idempotency-Key": key}
    assert (await call(client, "POST", "/messages", headers, dict(DRAFT)))[0] == 400


async def test_approving_twice_sends_once(desk: Desk, client: Client) -> None:
    headers = await token(desk)
    message = await drafted(client, headers)
    for _ in range(2):
        assert (await call(client, "POST", f"/messages/{message}/approve", headers))[0] == 200
    await desk.settle()
    assert len(desk.memory.sent) == 8
    async with desk.db.transaction(read_only=True) as tx:
        state = await tx.scalar(select(Message.state).where(Message.id == UUID(message)))
    assert state in (MessageState.SENDING, MessageState.DONE)


# --- The description -----------------------------------------------------------------------------------


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_description_names_every_operation_and_every_reference_leads_somewhere(
    desk: Desk, client: Client
) -> None:
    status, found = await call(client, "GET", "/openapi.json", {})
    assert (status, found["openapi"]) == (200, "3.1.0")
    served = {(operation.method.lower(), PREFIX + operation.path) for operation in api.OPERATIONS}
    assert {(method, path) for path, entry in found["paths"].items() for method in entry} == served
    for reference in references(found):
        part: Any = found
        for name in reference.removeprefix("#/").split("/"):
            part = part[name]


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for member in value.values() for found in references(member)]
    return [found for item in value for found in references(item)] if isinstance(value, list) else []


async def test_an_audience_is_narrowed_and_its_faults_are_said_by_field(desk: Desk, client: Client) -> None:
    headers = await token(desk)
    narrow = {"sample": {"size": 1, "seed": 3}, "languages": ["en"], "exclude": {"areas": [ward(1)]}}
    made = await drafted(client, headers, narrow=narrow)
    status, answer = await call(client, "POST", f"/messages/{made}/approve", headers)
    assert status == 200, answer
    async with desk.db.transaction(read_only=True) as tx:
        stored = await tx.scalar(select(Message.criteria).where(Message.id == UUID(made)))
    assert stored["sample"]["seed"] == 3
    assert list(stored["sample"]["marks"]) == [ward(0)]
    wrong = {"near": {"metres": 0, "postcode": "SE5 9AA"}, "exclude": {"topics": ["no-such"]}}
    status, answer = await call(client, "POST", "/messages", headers, {**DRAFT, "narrow": wrong})
    assert (status, [each["pointer"] for each in answer["errors"]]) == (422, ["/narrow/near"])
