"""Signing up and confirming: nobody is written to, or known, before they said yes themselves."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from notifier.broadcast import leaving, preferences, welcome
from notifier.broadcast.welcome import Confirmed, Expired, NoSuch, Waiting
from notifier.db import Database
from notifier.errors import Invalid
from notifier.models import Delivery, Lane, Notice
from subscribers import consent, retention, subscriptions
from subscribers.consent import ConsentAction
from subscribers.evidence import history
from subscribers.models import ContactPointState, SignUp, Subscriber
from tests.integration.people import (
    EMAIL,
    PHONE,
    URL,
    contact,
    follow,
    form,
    joined,
    last_code,
    last_token,
    notices,
    sign_up,
    templates_of,
)
from tests.world import make_places, ward


@pytest.fixture
async def places(db: Database) -> Database:
    async with db.transaction() as tx:
        await make_places(tx)
    return db


async def _people(db: Database) -> int:
    async with db.transaction() as tx:
        count: int = await tx.scalar(select(func.count()).select_from(Subscriber))
    return count


async def _later(db: Database, **ago: float) -> None:
    """As if everything so far had happened that long ago."""
    back = timedelta(**ago)
    async with db.transaction() as tx:
        for table, columns in ((SignUp, ("created_at", "expires_at")), (Notice, ("created_at",))):
            key = next(iter(table.__table__.primary_key))
            for row in (await tx.execute(select(table.__table__))).mappings().all():
                values = {column: row[column] - back for column in columns}
                await tx.execute(update(table).where(key == row["id"]).values(values))


async def test_a_person_exists_only_once_they_confirmed(places: Database) -> None:
    await sign_up(places, postcode="SE5 9AA", name="Sam")
    assert await _people(places) == 0
    assert (await contact(places, "email", EMAIL)).state is ContactPointState.UNCONFIRMED
    async with places.transaction() as tx:
        [asked] = await notices(tx)
        lane = await tx.scalar(select(Delivery.lane))
    assert (asked["template"], asked["area_names"], lane) == ("confirm_email", ["Abbey"], Lane.TRANSACTIONAL)
    token = await last_token(places)
    async with places.transaction(read_only=True) as tx:
        assert await welcome.see_link(tx, token, public_url=URL) == Waiting(
            medium="email", area_names=("Abbey",)
        )
    assert await _people(places) == 0

    confirmed = await follow(places, token)
    assert isinstance(confirmed, Confirmed)
    assert confirmed.area_names == ("Abbey",)
    assert (await contact(places, "email", EMAIL)).is_active
    async with places.transaction() as tx:
        person = await subscriptions.person(tx, confirmed.subscriber)
        wanted = await subscriptions.live(tx, confirmed.subscriber)
        events = await history(tx, [confirmed.contact_point])
        [greeting] = await notices(tx, "welcome")
    assert person is not None
    assert (person.name, person.postcode, person.home_area_code) == ("Sam", "SE5 9AA", ward(0))
    assert {each.area_code for each in wanted} == {ward(0)}
    assert len(wanted) == 6
    assert [(each.action, each.source, each.actor) for each in events] == [
        (ConsentAction.GIVEN, "web", "link")
    ]
    assert greeting["team_names"] == ["Abbey and Bridge team"]
    assert greeting["manage_url"] == confirmed.manage_url


async def test_confirming_twice_says_the_same_and_does_nothing(places: Database) -> None:
    first = await joined(places)
    assert await follow(places, await last_token(places)) == first
    assert await templates_of(places) == ["confirm_email", "welcome"]
    async with places.transaction() as tx:
        assert len(await history(tx, [first.contact_point])) == 1


async def test_a_link_followed_twice_at_once_makes_one_person(places: Database) -> None:
    await sign_up(places)
    token = await last_token(places)
    first, second = await asyncio.gather(follow(places, token), follow(places, token))
    assert isinstance(first, Confirmed)
    assert first == second
    assert await _people(places) == 1
    assert (await templates_of(places)).count("welcome") == 1


async def test_a_link_changed_by_one_letter_is_no_link(places: Database) -> None:
    await sign_up(places)
    token = await last_token(places)
    for place in (0, len(token) // 2, len(token) - 1):
        changed = token[:place] + ("a" if token[place] != "a" else "b") + token[place + 1 :]
        assert await follow(places, changed) == NoSuch()
    assert await follow(places, "") == NoSuch()
    assert await _people(places) == 0


async def test_a_link_expires_after_two_days_and_is_then_forgotten(places: Database) -> None:
    await sign_up(places)
    token = await last_token(places)
    await _later(places, hours=48)
    assert await follow(places, token) == Expired()
    async with places.transaction() as tx:
        assert await retention.drop_old_sign_ups(tx) == 1
    assert await follow(places, token) == NoSuch()
    assert await _people(places) == 0


async def test_one_request_a_day_goes_to_an_address_however_often_it_is_typed(places: Database) -> None:
    await asyncio.gather(*(sign_up(places) for _ in range(5)))
    for _ in range(20):
        await sign_up(places)
    assert await templates_of(places) == ["confirm_email"]
    await _later(places, hours=24)
    await sign_up(places)
    await sign_up(places)
    assert await templates_of(places) == ["confirm_email"] * 2


async def test_what_was_chosen_in_two_sign_ups_is_taken_together(places: Database) -> None:
    await sign_up(places, topics=("burglary",))
    await sign_up(places, area_codes=(ward(2),), topics=("burglary", "news"), phone=PHONE)
    confirmed = await follow(places, await last_token(places))
    assert isinstance(confirmed, Confirmed)
    assert confirmed.area_names == ("Abbey", "Castle")
    async with places.transaction() as tx:
        topics = {each.topic for each in await subscriptions.live(tx, confirmed.subscriber)}
    assert topics == {"burglary", "news"}
    assert "confirm_sms" not in await templates_of(places)  # the phone stood in a form nobody confirmed


async def test_known_and_unknown_addresses_get_the_same_answer(places: Database) -> None:
    """sign_up returns nothing and raises nothing; only the address's owner sees the difference."""
    await joined(places)
    await sign_up(places)
    await sign_up(places)
    await sign_up(places, email="stranger@mail.example")
    assert await templates_of(places) == ["confirm_email", "welcome", "already", "confirm_email"]
    assert await _people(places) == 1


async def test_a_team_s_own_number_cannot_be_signed_up(places: Database) -> None:
    await sign_up(places, email=None, phone="+447700900990")
    assert await templates_of(places) == []


async def test_an_email_is_confirmed_before_any_text_is_sent(places: Database) -> None:
    await sign_up(places, phone=PHONE)
    assert await templates_of(places) == ["confirm_email"]
    confirmed = await follow(places, await last_token(places))
    assert isinstance(confirmed, Confirmed)
    assert await templates_of(places) == ["confirm_email", "welcome", "confirm_sms"]
    phone = await contact(places, "sms", PHONE)
    assert confirmed.next_phone == phone.id
    assert await follow(places, await last_token(places)) == confirmed
    assert phone.state is ContactPointState.UNCONFIRMED

    code = await last_code(places)
    async with places.transaction() as tx:
        second = await welcome.confirm_code(tx, phone.id, f"{code[:3]} {code[3:]}", public_url=URL)
    assert isinstance(second, Confirmed)
    assert second.subscriber == confirmed.subscriber
    async with places.transaction() as tx:
        shown = await preferences.read_preferences(tx, second.contact_point)
    assert shown is not None
    assert {(each.medium, each.state) for each in shown.addresses} == {
        ("email", ContactPointState.ACTIVE),
        ("sms", ContactPointState.ACTIVE),
    }
    assert {each.hint for each in shown.addresses} == {"s…@mail.example", "…123"}
    assert len(shown.topics) == 6


async def test_five_wrong_codes_end_the_code(places: Database) -> None:
    await sign_up(places, email=None, phone=PHONE)
    code = await last_code(places)
    wrong = f"{(int(code) + 1) % 10**6:06}"
    for _ in range(5):
        async with places.transaction() as tx:
            assert await welcome.confirm_code(tx, PHONE, wrong, public_url=URL) == NoSuch()
    async with places.transaction() as tx:
        assert await welcome.confirm_code(tx, PHONE, code, public_url=URL) == NoSuch()
        assert await welcome.confirm_code(tx, "+447700900999", code, public_url=URL) == NoSuch()
    assert await _people(places) == 0


async def test_four_wrong_codes_leave_the_right_one_good(places: Database) -> None:
    await sign_up(places, email=None, phone=PHONE)
    code = await last_code(places)
    for _ in range(4):
        async with places.transaction() as tx:
            await welcome.confirm_code(tx, PHONE, "", public_url=URL)
    async with places.transaction() as tx:
        assert isinstance(await welcome.confirm_code(tx, PHONE, code, public_url=URL), Confirmed)


@pytest.mark.parametrize("said", ["OK", " ok. ", "Yes!", "iawn", "CODE"])
async def test_the_handset_itself_may_confirm(places: Database, said: str) -> None:
    await sign_up(places, email=None, phone=PHONE)
    text = await last_code(places) if said == "CODE" else said
    phone = await contact(places, "sms", PHONE)
    async with places.transaction() as tx:
        assert isinstance(await welcome.confirm_by_reply(tx, phone.id, text, public_url=URL), Confirmed)
    async with places.transaction() as tx:  # said again later, it is an ordinary reply
        assert await welcome.confirm_by_reply(tx, phone.id, text, public_url=URL) == NoSuch()


@pytest.mark.parametrize("said", ["", "No", "OK but who is this?", "what", "12 3456 Abbey Road"])
async def test_other_words_confirm_nothing(places: Database, said: str) -> None:
    await sign_up(places, email=None, phone=PHONE)
    phone = await contact(places, "sms", PHONE)
    async with places.transaction() as tx:
        assert await welcome.confirm_by_reply(tx, phone.id, said, public_url=URL) == NoSuch()
    assert await _people(places) == 0


async def test_a_number_gets_three_codes_an_hour_at_most(places: Database) -> None:
    for _ in range(6):
        await sign_up(places, email=None, phone=PHONE)
    assert await templates_of(places) == ["confirm_sms"] * 3


async def test_a_pumped_form_runs_dry_but_numbers_we_know_are_served(
    places: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consent, "UNANSWERED_CODES_TO_DOUBT", 4)
    await sign_up(places, email=None, phone=PHONE)
    code = await last_code(places)
    async with places.transaction() as tx:
        known = await welcome.confirm_code(tx, PHONE, code, public_url=URL)
        assert isinstance(known, Confirmed)
        await leaving.stop(tx, known.contact_point, source="text", public_url=URL)
    for number in range(8):
        await sign_up(places, email=None, phone=f"+4477009001{number:02}")
    assert (await templates_of(places)).count("confirm_sms") == 1 + 4
    async with places.transaction() as tx:
        asked = await leaving.start(tx, known.contact_point, source="text", public_url=URL)
    assert asked is leaving.Start.ASKED
    assert (await templates_of(places))[-1] == "start_question"


async def test_an_address_moves_to_a_new_phone_of_the_same_person(places: Database) -> None:
    person = await joined(places)
    for phone in (PHONE, "+447700900124"):
        async with places.transaction() as tx:
            waiting = await preferences.add_address(
                tx, person.subscriber, "sms", phone, source="web", public_url=URL
            )
        assert waiting is not None
        code = await last_code(places)
        async with places.transaction() as tx:
            assert isinstance(await welcome.confirm_code(tx, waiting, code, public_url=URL), Confirmed)
    assert (await contact(places, "sms", PHONE)).state is ContactPointState.STOPPED
    assert (await contact(places, "sms", "+447700900124")).is_active
    assert await _people(places) == 1


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"area_codes": ()}, "area_codes"),
        ({"area_codes": ("E05000001",)}, "area_codes"),
        ({"topics": ("999999",)}, "topics"),
        ({"email": None}, "email"),
    ],
)
async def test_a_form_that_makes_no_sense_is_refused(
    places: Database, values: dict[str, object], field: str
) -> None:
    async with places.transaction() as tx:
        with pytest.raises(Invalid) as refused:
            await welcome.sign_up(tx, form(**values), public_url=URL)
    assert list(refused.value.fields) == [field]
