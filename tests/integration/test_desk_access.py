"""Who gets to the desk, and to what: signing in, forms that are ours, and every route for every role."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, func, select, update

from channels.base import Media
from notifier.db import Database
from notifier.delivery import tokens
from notifier.inbox import media
from notifier.models import AuditEvent, ConversationEntry, Delivery, Officer, OfficerRole, Role, Session
from notifier.staff import roles
from notifier.staff.roles import Act
from notifier.web import desk as desk_pages
from notifier.web.desk.access import DeskRoute
from tests.integration.desk import (
    MESSAGE,
    PASSWORD,
    Client,
    Desk,
    hidden_in,
    open_desk,
    submit,
    text_in,
    token_in,
)
from tests.world import ward

EMAIL = "sam@force.example"


@pytest.fixture
async def desk(db: Database) -> AsyncIterator[Desk]:
    async with open_desk(db) as opened:
        yield opened


async def write(client: Client, **changes: object) -> UUID:
    """A draft, through the form; its id."""
    page = await (await client.get("/desk/messages/new")).text()
    values = {**MESSAGE, "areas": ward(0), "form_key": hidden_in(page, "form_key"), **changes}
    pairs = [("form_token", token_in(page)), ("team", hidden_in(page, "team")), *values.items()]
    response = await client.post("/desk/messages/new", data=pairs)
    assert response.url.path.endswith("/preview"), await response.text()
    return UUID(response.url.path.split("/")[3])


# --- Signing in ----------------------------------------------------------------------------------


async def test_an_officer_signs_in_and_out(desk: Desk) -> None:
    await desk.officer(EMAIL, Role.SERGEANT, desk.world.teams[0])
    async with desk.signed_in(EMAIL) as client:
        home = await (await client.get("/desk")).text()
        assert "Abbey and Bridge team" in home
        async with client.post("/desk/sign-out", data={"form_token": token_in(home)}) as response:
            assert response.url.path == "/desk/sign-in"
        assert (await client.get("/desk")).url.path == "/desk/sign-in"
    async with desk.db.transaction(read_only=True) as tx:
        assert await tx.scalar(select(func.count()).select_from(Session)) == 0
        assert await tx.scalar(select(func.count()).where(AuditEvent.action == "signed_in")) == 1


async def test_unknown_disabled_and_mistaken_officers_get_one_answer(desk: Desk) -> None:
    await desk.officer(EMAIL, Role.SERGEANT, desk.world.teams[0])
    gone = await desk.officer("gone@force.example", Role.SERGEANT, desk.world.teams[0])
    async with desk.db.transaction() as tx:
        await tx.execute(update(Officer).where(Officer.id == gone).values(disabled_at=tx.now))
    answers = []
    async with desk.browser() as client:
        for email, password in (
            (EMAIL, "wrong password"),
            ("nobody@force.example", PASSWORD),
            ("gone@force.example", PASSWORD),
            ("no address at all", PASSWORD),
        ):
            response = await submit(client, "/desk/sign-in", {"email": email, "password": password})
            page = await response.text()
            text = page.replace(email, "").replace(token_in(page), "")
            answers.append((response.status, text[text.index("There is a problem") :][:600]))
    assert len(set(answers)) == 1
    assert answers[0][0] == 422


async def test_a_session_that_a_browser_brings_along_is_never_taken(desk: Desk) -> None:
    await desk.officer(EMAIL, Role.SERGEANT, desk.world.teams[0])
    planted = "a" * 52
    async with desk.browser() as client:
        client.session.cookie_jar.update_cookies({"session": planted}, client.make_url("/"))
        await submit(client, "/desk/sign-in", {"email": EMAIL, "password": PASSWORD})
        mine = {cookie.key: cookie.value for cookie in client.session.cookie_jar}
        assert mine["session"] != planted
    async with desk.browser() as thief:
        thief.session.cookie_jar.update_cookies({"session": planted}, thief.make_url("/"))
        assert (await thief.get("/desk")).url.path == "/desk/sign-in"


async def test_signing_in_leads_to_the_page_one_wanted_and_nowhere_else(desk: Desk) -> None:
    await desk.officer(EMAIL, Role.SERGEANT, desk.world.teams[0])
    for wanted, reached in (
        ("/desk/queue?show=all", "/desk/queue?show=all"),
        ("https://evil.example/desk", "/desk"),
        ("//evil.example/desk", "/desk"),
        ("/desk\\@evil.example", "/desk"),
        ("/unsubscribe/x", "/desk"),
    ):
        async with desk.browser() as client:
            values = {"email": EMAIL, "password": PASSWORD, "next": wanted}
            page = await (await client.get("/desk/sign-in")).text()
            values["form_token"] = token_in(page)
            async with client.post("/desk/sign-in", data=values, allow_redirects=False) as response:
                assert response.headers["Location"] == reached


async def test_what_was_being_written_outlives_the_session(desk: Desk) -> None:
    await desk.officer(EMAIL, Role.SERGEANT, desk.world.teams[0])
    async with desk.signed_in(EMAIL) as client:
        page = await (await client.get("/desk/messages/new")).text()
        async with desk.db.transaction() as tx:
            await tx.execute(delete(Session))
        values = {
            **MESSAGE,
            "areas": ward(0),
            "body": "Line one\n\nLine <two>",
            "team": hidden_in(page, "team"),
            "form_key": hidden_in(page, "form_key"),
            "form_token": token_in(page),
        }
        async with client.post("/desk/messages/new", data=values) as response:
            asked = await response.text()
            assert response.status == 401
            assert "You have been signed out" in asked
        kept = {name: hidden_in(asked, f"kept-{name}") for name in values if name != "form_token"}
        data = {f"kept-{name}": value for name, value in kept.items()} | {
            "form_token": token_in(asked),
            "next": hidden_in(asked, "next"),
            "email": EMAIL,
            "password": PASSWORD,
        }
        async with client.post("/desk/sign-in", data=data) as response:
            carry_on = await response.text()
            assert "You are signed in again" in carry_on
        again = {name: hidden_in(carry_on, name) for name in kept} | {"form_token": token_in(carry_on)}
        async with client.post("/desk/messages/new", data=again) as response:
            assert response.url.path.endswith("/preview"), await response.text()
            assert "Line &lt;two&gt;" in await response.text()


# --- Forms ---------------------------------------------------------------------------------------------


async def test_every_button_of_the_desk_refuses_what_is_not_its_own_form(desk: Desk) -> None:
    await desk.officer(EMAIL, Role.COORDINATOR, None)
    async with desk.signed_in(EMAIL) as client:
        posts = [route.path for route in desk_pages.TABLE if route.method == "POST"]
        for path in [*posts, "/desk/sign-in", "/desk/sign-out"]:
            for data in ({}, {"form_token": ""}, {"form_token": "a" * 60}):
                async with client.post(path.replace("{id}", str(uuid4())), data=data) as response:
                    assert response.status == 403, path
        page = await (await client.get("/desk")).text()
        async with desk.browser() as other:
            data = {"form_token": token_in(await (await other.get("/desk/sign-in")).text())}
        async with client.post("/desk/sign-out", data=data) as response:
            assert response.status == 403
        foreign = {"Origin": "https://evil.example"}
        async with client.post(
            "/desk/sign-out", data={"form_token": token_in(page)}, headers=foreign
        ) as response:
            assert response.status == 403


# --- Every route, every role ----------------------------------------------------------------------------


async def objects(desk: Desk) -> dict[str, str]:
    """A draft, a conversation and a delivery of the first team, by the part of the path that names them."""
    await desk.officer("author@force.example", Role.SERGEANT, desk.world.teams[0])
    async with desk.signed_in("author@force.example") as client:
        sent, draft = await write(client), await write(client)
        await submit(
            client,
            f"/desk/messages/{sent}/approve",
            await seen(client, sent),
            page=f"/desk/messages/{sent}/preview",
        )
    await desk.settle()
    conversation = await text_in(desk)
    async with desk.db.transaction(read_only=True) as tx:
        number = await tx.scalar(select(func.min(Delivery.id)).where(Delivery.message_id == sent))
        token = tokens.delivery_token(tx.keys, number)
    return {
        "{incoming}": str(await with_picture(desk.db, conversation)),
        "/desk/messages/{id}": str(draft),
        "/desk/conversations/{id}": str(conversation),
        "/desk/deliveries/{token}": token,
    }


async def with_picture(db: Database, conversation: UUID) -> UUID:
    """The first text of a conversation, from now on with a picture that was fetched."""
    async with db.transaction() as tx:
        entry = select(ConversationEntry.incoming_id).where(ConversationEntry.conversation_id == conversation)
        incoming: UUID = await tx.scalar(entry.limit(1))
        await media.want(tx, incoming, ["https://provider.example/1"])
        (wanted,) = await media.take(tx)
        await media.settle(tx, wanted, Media(content_type="image/png", data=b"\x89PNG\r\n\x1a\n"))
    return incoming


async def seen(client: Client, message: UUID) -> dict[str, str]:
    page = await (await client.get(f"/desk/messages/{message}/preview")).text()
    return {"seen": hidden_in(page, "seen")}


def filled(route: DeskRoute, ids: dict[str, str]) -> str:
    for start, id_ in ids.items():
        if route.path.startswith(start):
            path = route.path.replace("{id}", id_).replace("{token}", id_)
            return path.replace("{incoming}", ids["{incoming}"]).replace("{number}", "1")
    return route.path


async def status_of(client: Client, route: DeskRoute, path: str) -> int:
    if route.method == "GET":
        async with client.get(path) as response:
            return response.status
    token = token_in(await (await client.get("/desk")).text())
    async with client.post(path, data={"form_token": token, "version": "999"}) as response:
        return response.status


async def test_every_route_is_closed_to_whoever_is_not_signed_in(desk: Desk) -> None:
    ids = await objects(desk)
    async with desk.browser() as client:
        token = token_in(await (await client.get("/desk/sign-in")).text())
        for route in desk_pages.TABLE:
            path = filled(route, ids)
            if route.method == "GET":
                async with client.get(path, allow_redirects=False) as response:
                    assert response.status == 303, path
                    assert response.headers["Location"].startswith("/desk/sign-in?next=")
            else:
                async with client.post(path, data={"form_token": token}) as response:
                    assert response.status == 401, path


async def test_no_route_shows_or_changes_what_is_another_teams(desk: Desk) -> None:
    ids = await objects(desk)
    for role in (Role.OFFICER, Role.SERGEANT, Role.COORDINATOR, Role.AUDITOR):
        await desk.officer(f"{role}@force.example", role, desk.world.teams[1])
        async with desk.signed_in(f"{role}@force.example") as client:
            for route in desk_pages.TABLE:
                path = filled(route, ids)
                if path == route.path:
                    continue
                expected = (
                    404
                    if route.act is None
                    or roles.may(
                        [roles.Grant(role=role, team=desk.world.teams[1])], route.act, desk.world.teams[1]
                    )
                    else 403
                )
                assert await status_of(client, route, path) == expected, (role, path)
            assert (await client.get("/desk?team=abbey-bridge")).status == 404
            assert (await client.get("/desk/queue?team=abbey-bridge")).status == 404
            queue = await (await client.get("/desk/queue?show=all")).text()
            assert ids["/desk/conversations/{id}"] not in queue
            assert ids["/desk/messages/{id}"] not in await (await client.get("/desk")).text()


async def test_each_role_may_do_in_its_team_what_the_rule_says_and_no_more(desk: Desk) -> None:
    ids = await objects(desk)
    team = desk.world.teams[0]
    for role in Role:
        await desk.officer(f"{role}@force.example", role, team)
        grants = [roles.Grant(role=role, team=team)]
        async with desk.signed_in(f"{role}@force.example") as client:
            for route in desk_pages.TABLE:
                publishes = route.method == "POST" and roles.may(grants, Act.PUBLISH, team)
                if publishes or route.path.endswith("/drop"):
                    continue  # each would change what the next is tried on; they have tests of their own
                path = filled(route, ids)
                status = await status_of(client, route, path)
                may = route.act is None or roles.may(grants, route.act, team)
                if (route.method, route.path) == ("GET", "/desk/messages/{id}"):
                    may = roles.may(grants, Act.DRAFT, team)  # the form; who may only look uses the preview
                assert (status == 403) is not may, (role, route.method, path, status)
                assert status != 404, (role, path)
                assert status < 500, (role, path)


async def test_a_role_taken_away_is_gone_with_the_next_click(desk: Desk) -> None:
    officer = await desk.officer(EMAIL, Role.SERGEANT, desk.world.teams[0])
    async with desk.signed_in(EMAIL) as client:
        message = await write(client)
        page = await (await client.get(f"/desk/messages/{message}/preview")).text()
        async with desk.db.transaction() as tx:
            await tx.execute(
                update(OfficerRole).where(OfficerRole.officer_id == officer).values(role=Role.OFFICER)
            )
        data = {"form_token": token_in(page), "seen": hidden_in(page, "seen")}
        async with client.post(f"/desk/messages/{message}/approve", data=data) as response:
            assert response.status == 403


@pytest.mark.parametrize("id_", ["0", "x", "%00", "..%2f", "A" * 36, "{id}", str(UUID(int=1)).upper() + "F"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_ids_that_are_none_are_not_found(desk: Desk, id_: str) -> None:
    await desk.officer(EMAIL, Role.COORDINATOR, None)
    async with desk.signed_in(EMAIL) as client:
        for route in desk_pages.TABLE:
            if route.method == "GET" and "{" in route.path:
                path = route.path.replace("{id}", id_).replace("{token}", id_)
                assert (await client.get(path)).status == 404, path
