"""Each line of the rule by which a message finds its team, on both databases."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import delete, insert, select, update

from channels.base import Medium
from notifier.db import Database
from notifier.delivery.wording import VARIABLES
from notifier.inbox import receive
from notifier.models import (
    Conversation,
    ConversationState,
    Delivery,
    DeliveryState,
    IncomingRow,
    Notice,
    RoutingDecision,
    Team,
    TeamArea,
    TeamContactPoint,
    TeamKind,
)
from subscribers.models import ContactPoint, Postcode, Subscriber
from tests.integration.replies import (
    DOMAIN,
    SHARED_NUMBER,
    mail,
    mail_in,
    make_world,
    phone,
    publish,
    reply_to,
    seen,
    text_in,
    told,
)
from tests.world import BOROUGH, World, make_people, ward

STRANGER = "+447700900777"


async def person_of_two_teams(db: Database, world: World) -> str:
    """Somebody who follows Bridge (first team) and Castle (second); their number."""
    async with db.transaction() as tx:
        await make_people(tx, world, 1, wards=[1, 2], second_ward=True)
    return phone(world, -1)


async def test_a_reply_address_leads_to_the_team_that_wrote(db: Database) -> None:
    world = await make_world(db)
    await publish(db, world, team=1, wards=(0,))
    point = world.points[world.subscribers[0], "email"]
    done = await mail_in(db, mail(sender=world.addresses[point], to=await reply_to(db, point)))
    assert (done.resolver, (await seen(db, done)).team) == ("reply_token", world.teams[1])
    shown = await seen(db, done)
    assert shown.subject == "Patrols tonight"
    assert shown.entries[0].verified
    assert shown.routing[0].confidence == 1.0
    assert "answers a message of this team" in shown.routing[0].reason


async def test_a_number_of_one_team_alone_leads_to_that_team(db: Database) -> None:
    world = await make_world(db)
    done = await text_in(db, STRANGER, "Who is at the door?", to=world.numbers[2])
    assert (done.resolver, (await seen(db, done)).team) == ("leased_number", world.teams[2])


@pytest.mark.parametrize(
    ("text", "team"),
    [
        ("ABBEY lights are out", 0),
        ("Castle: lights are out", 1),
        ("dock lights are out", 1),
        ("Lights out all over Castle again", None),
    ],
)
async def test_the_name_of_a_ward_leads_to_its_team(db: Database, text: str, team: int | None) -> None:
    world = await make_world(db)
    done = await text_in(db, STRANGER, text)
    found = (await seen(db, done)).team
    assert found == (world.central if team is None else world.teams[team])


async def test_a_word_that_is_also_another_ward_does_not_outweigh_the_senders_own(db: Database) -> None:
    world = await make_world(db)
    done = await text_in(db, phone(world, 0), "Bridge over the canal is broken")  # they follow Abbey
    assert (done.resolver, (await seen(db, done)).team) == ("single_ward", world.teams[0])


async def test_a_ward_of_their_own_named_anywhere_leads_to_its_team(db: Database) -> None:
    world = await make_world(db)
    done = await text_in(db, await person_of_two_teams(db, world), "Lights out all over Castle again")
    assert (done.resolver, (await seen(db, done)).team) == ("ward_word", world.teams[1])


async def test_the_only_open_conversation_takes_what_comes_next(db: Database) -> None:
    world = await make_world(db)
    number = await person_of_two_teams(db, world)
    first = await text_in(db, number, "Castle: lights are out")
    second = await text_in(db, number, "Still out today")
    assert second.resolver == "open_conversation"
    assert second.conversation == first.conversation
    assert [entry.text for entry in (await seen(db, second)).entries] == [
        "Castle: lights are out",
        "Still out today",
    ]


@pytest.mark.parametrize(
    ("hours", "shares_a_number", "resolver"),
    [(71, True, "last_outbound"), (73, True, "ask"), (71, False, "ask")],
)
async def test_the_last_team_that_wrote_from_that_number_within_three_days_is_answered(
    db: Database, hours: int, shares_a_number: bool, resolver: str
) -> None:
    world = await make_world(db)
    number = await person_of_two_teams(db, world)
    await publish(db, world, team=0, wards=(1,))
    async with db.transaction() as tx:
        if shares_a_number:
            await tx.execute(delete(TeamContactPoint))
        sent = {"state": DeliveryState.DELIVERED, "due_at": tx.now - timedelta(hours=hours)}
        await tx.execute(update(Delivery).values(sent))
    done = await text_in(db, number, "What time?", to=SHARED_NUMBER)
    assert done.resolver == resolver
    assert (await seen(db, done)).team == (world.teams[0] if resolver == "last_outbound" else world.central)


async def test_who_follows_one_ward_is_heard_by_its_team(db: Database) -> None:
    world = await make_world(db)
    done = await text_in(db, phone(world, 4), "A car is on fire no more")
    assert (done.resolver, (await seen(db, done)).team) == ("single_ward", world.teams[2])


async def test_a_postcode_in_the_text_leads_to_its_ward(db: Database) -> None:
    world = await make_world(db)
    async with db.transaction() as tx:
        await tx.execute(insert(Postcode).values(postcode="ZX1 2AB", ward_code=ward(3)))
    done = await text_in(db, STRANGER, "there is glass all over the road at zx12ab, please come")
    assert (done.resolver, (await seen(db, done)).team) == ("place_in_text", world.teams[1])


async def test_the_home_ward_decides_where_nothing_else_does(db: Database) -> None:
    world = await make_world(db)
    number = await person_of_two_teams(db, world)
    async with db.transaction() as tx:
        await tx.execute(
            update(Subscriber).where(Subscriber.id == world.subscribers[-1]).values(home_area_code=ward(2))
        )
    done = await text_in(db, number, "It is loud here")
    assert (done.resolver, (await seen(db, done)).team) == ("home_ward", world.teams[1])


async def test_who_follows_wards_of_two_teams_is_asked_and_the_message_moves_with_the_answer(
    db: Database,
) -> None:
    world = await make_world(db)
    number = await person_of_two_teams(db, world)
    point = world.points[world.subscribers[-1], "sms"]
    first = await text_in(db, number, "It is loud here")
    assert (first.resolver, (await seen(db, first)).team) == ("ask", world.central)
    more = await text_in(db, number, "Very loud")
    assert more.conversation == first.conversation
    assert await told(db, point) == ["question_ward"]

    answered = await text_in(db, number, "2")
    assert answered.resolver == "answered_question"
    shown = await seen(db, answered)
    assert shown.team == world.teams[1]
    assert [entry.text for entry in shown.entries] == ["It is loud here", "Very loud", "2"]
    assert [each.corrected_to for each in shown.routing] == [shown.team_name, shown.team_name, None]

    again = await text_in(db, number, "1")  # the question is answered: this is a reply like any other
    assert again.resolver == "open_conversation"
    assert again.conversation == answered.conversation


async def test_a_question_is_good_for_two_days(db: Database) -> None:
    world = await make_world(db)
    number = await person_of_two_teams(db, world)
    await text_in(db, number, "It is loud here")
    async with db.transaction() as tx:
        await tx.execute(update(Notice).values(created_at=tx.now - timedelta(hours=49)))
    late = await text_in(db, number, "1")
    assert late.resolver == "ask"
    assert (await seen(db, late)).team == world.central


async def test_the_question_names_their_areas_and_comes_from_the_number_they_texted(db: Database) -> None:
    world = await make_world(db)
    await text_in(db, await person_of_two_teams(db, world), "It is loud here")
    async with db.transaction() as tx:
        row = (await tx.execute(select(Notice.id, Notice.variables_sealed))).one()
        given = json.loads(tx.keys.open_text(VARIABLES, row.id, row.variables_sealed))
    assert [(c["number"], c["name"]) for c in given["choices"]] == [(1, "Bridge"), (2, "Castle")]
    assert given["from_number"] == SHARED_NUMBER


async def test_a_stranger_is_held_in_central_triage_and_asked_for_a_postcode_once(db: Database) -> None:
    world = await make_world(db)
    first = await text_in(db, STRANGER, "Hello, who is this?")
    assert (first.resolver, (await seen(db, first)).team) == ("central_triage", world.central)
    assert not (await seen(db, first)).is_known
    await text_in(db, STRANGER, "Anybody?")
    async with db.transaction() as tx:
        point = (await tx.execute(select(ContactPoint).where(ContactPoint.state == "unconfirmed"))).one()
        await tx.execute(insert(Postcode).values(postcode="ZX1 2AB", ward_code=ward(0)))
    assert point.subscriber_id is None
    assert await told(db, point.id) == ["question_postcode"]
    done = await text_in(db, STRANGER, "ZX1 2AB")
    shown = await seen(db, done)
    assert (done.resolver, shown.team) == ("place_in_text", world.teams[0])
    assert [entry.text for entry in shown.entries] == ["Hello, who is this?", "Anybody?", "ZX1 2AB"]


async def test_central_triage_is_made_where_there_is_none(db: Database) -> None:
    done = await text_in(db, STRANGER, "Hello")
    async with db.transaction() as tx:
        assert (
            await tx.scalar(select(Team.kind).where(Team.id == (await seen(db, done)).team))
            == TeamKind.CENTRAL
        )


async def test_a_ward_that_has_no_team_of_its_own_falls_to_the_boroughs(db: Database) -> None:
    world = await make_world(db)
    async with db.transaction() as tx:
        await tx.execute(update(TeamArea).where(TeamArea.team_id == world.teams[0]).values(until=tx.now))
        await tx.execute(insert(TeamArea).values(team_id=world.teams[2], area_code=BOROUGH, since=tx.now))
    done = await text_in(db, phone(world, 0), "Hello")
    assert (await seen(db, done)).team == world.teams[2]


async def test_every_decision_is_kept_with_its_reason(db: Database) -> None:
    world = await make_world(db)
    for person in range(6):
        await text_in(db, phone(world, person), "Hello")
    async with db.transaction() as tx:
        rows = (await tx.execute(select(RoutingDecision))).all()
        stored = (await tx.execute(select(IncomingRow.state))).scalars().all()
    assert len(rows) == 6
    assert all(row.reason and row.resolver == "single_ward" for row in rows)
    assert set(stored) == {"routed"}


async def test_a_resolved_conversation_is_not_reopened_by_a_new_matter(db: Database) -> None:
    world = await make_world(db)
    first = await text_in(db, phone(world, 0), "Hello")
    async with db.transaction() as tx:
        await tx.execute(update(Conversation).values(state=ConversationState.RESOLVED))
    second = await text_in(db, phone(world, 0), "Something else")
    assert second.conversation != first.conversation


async def test_mail_to_an_address_of_ours_without_a_token_is_triaged_by_who_sent_it(db: Database) -> None:
    world = await make_world(db)
    point = world.points[world.subscribers[3], "email"]
    done = await mail_in(db, mail(sender=world.addresses[point], subject="Hello"), to=[f"anything@{DOMAIN}"])
    shown = await seen(db, done)
    assert (done.resolver, shown.team) == ("single_ward", world.teams[1])
    assert not shown.entries[0].verified  # a From line proves nothing
    assert shown.entries[0].text.startswith("Hello\n")


async def test_what_is_stored_has_its_sender_in_one_spelling(db: Database) -> None:
    await make_world(db)
    assert receive.normalised("07700 900000", Medium.SMS) == "+447700900000"
    one = await text_in(db, "07700 900001", "Hello")
    two = await text_in(db, "+44 7700 900001", "Hello again")
    assert one.conversation == two.conversation
