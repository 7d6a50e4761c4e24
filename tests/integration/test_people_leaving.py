"""Stopping, coming back, changing preferences, and being forgotten."""

import json

import pytest
from sqlalchemy import func, insert, select

from notifier.broadcast import leaving, links, preferences, welcome
from notifier.broadcast.leaving import Start, Stopped
from notifier.broadcast.preferences import Change
from notifier.broadcast.welcome import Confirmed, NoSuch
from notifier.db import Database
from notifier.delivery import tokens
from notifier.inbox.conversations import BODY
from notifier.models import (
    Conversation,
    ConversationEntry,
    ConversationState,
    Delivery,
    Direction,
    Team,
)
from subscribers import contact_points, subscriptions, suppression
from subscribers.evidence import history
from subscribers.models import (
    ConsentEvent,
    ContactPointState,
    Frequency,
    LeastPriority,
    Subscription,
    new_id,
)
from subscribers.signing import Use
from tests.integration.people import (
    EMAIL,
    PHONE,
    URL,
    contact,
    follow,
    joined,
    last_code,
    last_token,
    notices,
    sign_up,
    templates_of,
)
from tests.world import make_places, ward


@pytest.fixture
async def person(db: Database) -> Confirmed:
    """Somebody with an email and a phone, both confirmed, who follows two wards."""
    async with db.transaction() as tx:
        await make_places(tx)
    confirmed = await joined(
        db, phone=PHONE, area_codes=(ward(0), ward(2)), name="Sam Marker", postcode="SE5 9AA"
    )
    code = await last_code(db)
    async with db.transaction() as tx:
        assert isinstance(await welcome.confirm_code(tx, PHONE, code, public_url=URL), Confirmed)
    return confirmed


async def _stop(db: Database, medium: str = "sms", address: str = PHONE) -> Stopped:
    point = await contact(db, medium, address)
    async with db.transaction() as tx:
        return await leaving.stop(tx, point.id, source="text", public_url=URL)


async def test_stop_ends_one_medium_and_says_so_once(db: Database, person: Confirmed) -> None:
    assert await _stop(db) == Stopped(medium="sms", was_on=True, still_on=("email",))
    assert await _stop(db) == Stopped(medium="sms", was_on=False, still_on=("email",))
    phone = await contact(db, "sms", PHONE)
    assert phone.state is ContactPointState.STOPPED
    assert (await contact(db, "email", EMAIL)).is_active
    async with db.transaction() as tx:
        [receipt] = await notices(tx, "stopped")
        assert await suppression.is_suppressed(tx, "sms", phone.address_hash)
        events = await history(tx, [phone.id])
    assert (receipt["medium"], receipt["still_on"], receipt["to"]) == ("sms", ["email"], phone.id)
    assert [(each.action.value, each.source) for each in events] == [("given", "web"), ("withdrawn", "text")]


async def test_whoever_is_not_known_may_stop_too(db: Database) -> None:
    async with db.transaction() as tx:
        stranger = await contact_points.ensure(tx, "sms", PHONE)
    assert (await _stop(db)).was_on
    assert await templates_of(db) == ["stopped"]
    async with db.transaction() as tx:
        assert await leaving.start(tx, stranger.id, source="text", public_url=URL) is Start.UNKNOWN


async def test_a_team_s_own_number_is_never_stopped(db: Database) -> None:
    async with db.transaction() as tx:
        world = await make_places(tx)
    assert not (await _stop(db, "sms", world.numbers[0])).was_on
    assert (await contact(db, "sms", world.numbers[0])).is_active


async def test_start_asks_and_only_ok_brings_back(db: Database, person: Confirmed) -> None:
    await _stop(db)
    phone = await contact(db, "sms", PHONE)
    async with db.transaction() as tx:
        assert await leaving.start(tx, phone.id, source="text", public_url=URL) is Start.ASKED
    assert (await contact(db, "sms", PHONE)).state is ContactPointState.STOPPED
    async with db.transaction() as tx:
        assert (await notices(tx, "start_question"))[-1]["area_names"] == ["Abbey", "Castle"]
        assert isinstance(await welcome.confirm_by_reply(tx, phone.id, "OK", public_url=URL), Confirmed)
    assert (await contact(db, "sms", PHONE)).is_active
    async with db.transaction() as tx:
        assert not await suppression.is_suppressed(tx, "sms", phone.address_hash)
        assert await leaving.start(tx, phone.id, source="text", public_url=URL) is Start.ALREADY


async def test_an_ordinary_reply_never_brings_back(db: Database, person: Confirmed) -> None:
    await _stop(db)
    phone = await contact(db, "sms", PHONE)
    async with db.transaction() as tx:
        assert await welcome.confirm_by_reply(tx, phone.id, "OK", public_url=URL) == NoSuch()
    assert not (await contact(db, "sms", PHONE)).is_active


async def test_stopping_one_area_leaves_the_other(db: Database, person: Confirmed) -> None:
    phone = await contact(db, "sms", PHONE)
    for expected in (True, False):
        async with db.transaction() as tx:
            stopped = await leaving.stop_area(tx, phone.id, ward(0), source="text", public_url=URL)
        assert stopped is expected
    async with db.transaction() as tx:
        assert await subscriptions.areas_of(tx, person.subscriber) == {ward(2): "Castle"}
        [receipt] = await notices(tx, "stopped_area")
        assert await suppression.is_suppressed(tx, "sms", phone.address_hash, area_code=ward(0))
        assert not await suppression.is_suppressed(tx, "sms", phone.address_hash)
        ended = await tx.scalar(select(func.count()).where(Subscription.ended_reason == "stopped"))
    assert (receipt["area_name"], receipt["still_areas"]) == ("Abbey", ["Castle"])
    assert ended == 6
    async with db.transaction() as tx:
        await preferences.change_preferences(
            tx, phone.id, Change(area_codes=(ward(0), ward(2))), source="web"
        )
        assert not await suppression.is_suppressed(tx, "sms", phone.address_hash, area_code=ward(0))


async def test_a_stop_by_link_can_be_taken_back(db: Database, person: Confirmed) -> None:
    token = _end_of_link(db, Use.UNSUBSCRIBE, person)
    async with db.transaction(read_only=True) as tx:
        found = await links.read_unsubscribe(tx, token)
    assert found is not None
    await _stop(db, "email", EMAIL)
    for _ in range(2):
        async with db.transaction() as tx:
            assert await leaving.undo_stop(tx, found.id, source="link")
    assert (await contact(db, "email", EMAIL)).is_active
    async with db.transaction() as tx:
        assert not await suppression.is_suppressed(tx, "email", found.address_hash)


async def test_who_stopped_comes_back_by_confirming_afresh(db: Database, person: Confirmed) -> None:
    await _stop(db, "sms", PHONE)
    await _stop(db, "email", EMAIL)
    await sign_up(db, area_codes=(ward(4),), email="sam@mail.example")
    assert not (await contact(db, "email", EMAIL)).is_active
    # The first link was followed less than a day ago, so nothing was sent and nothing can be followed.
    assert (await templates_of(db)).count("confirm_email") == 1
    await sign_up(db, area_codes=(ward(4),), email=None, phone=PHONE)
    code = await last_code(db)
    async with db.transaction() as tx:
        back = await welcome.confirm_code(tx, PHONE, code, public_url=URL)
    assert isinstance(back, Confirmed)
    assert back.subscriber == person.subscriber
    assert back.area_names == ("Elm",)  # nobody could be reached any more, so the old choices are over


async def test_preferences_change_what_was_asked_and_keep_the_history(
    db: Database, person: Confirmed
) -> None:
    change = Change(
        area_codes=(ward(2), ward(3)),
        topics=("burglary",),
        language="cy",
        frequency=Frequency.WEEKLY,
        least_priority=LeastPriority.URGENT,
    )
    for _ in range(2):
        async with db.transaction() as tx:
            after = await preferences.change_preferences(tx, person.contact_point, change, source="web")
    assert after is not None
    assert dict(after.areas) == {ward(2): "Castle", ward(3): "Dock"}
    assert (after.topics, after.language) == (("burglary",), "cy")
    assert (after.frequency, after.least_priority) == (Frequency.WEEKLY, LeastPriority.URGENT)
    async with db.transaction() as tx:
        rows = (await tx.execute(select(Subscription.ended_at))).scalars().all()
        changed = (
            await tx.execute(select(ConsentEvent.purpose).where(ConsentEvent.action == "changed"))
        ).scalars()
        purposes = sorted(changed)
    assert (len(rows), sum(ended is None for ended in rows)) == (12 + 2, 2)
    assert purposes == ["areas", "frequency", "language", "least_priority", "topics"]


async def test_one_changed_thing_leaves_the_others(db: Database, person: Confirmed) -> None:
    async with db.transaction() as tx:
        after = await preferences.change_preferences(
            tx, person.contact_point, Change(frequency=Frequency.DAILY), source="web"
        )
    assert after is not None
    assert list(after.areas) == [ward(0), ward(2)]
    assert (len(after.topics), after.frequency, after.language) == (6, Frequency.DAILY, "en")


async def test_a_fresh_link_is_good_for_an_hour_and_three_are_sent_at_most(
    db: Database, person: Confirmed
) -> None:
    for _ in range(5):
        async with db.transaction() as tx:
            await preferences.send_fresh_link_to(tx, "email", EMAIL, public_url=URL)
            await preferences.send_fresh_link_to(tx, "email", "stranger@mail.example", public_url=URL)
    async with db.transaction() as tx:
        sent = await notices(tx, "fresh_link")
        token = sent[0]["fresh_url"].removeprefix(f"{URL}/manage/")
        access = await links.read_manage(tx, token)
        usual = await links.read_manage(tx, person.manage_url.removeprefix(f"{URL}/manage/"))
        tx.now = tx.now.replace(year=tx.now.year + 1)
        late = await links.read_manage(tx, token)
    assert len(sent) == 3
    assert access is not None
    assert usual is not None
    assert (access.is_fresh, usual.is_fresh, late) == (True, False, None)


@pytest.mark.parametrize("use", [Use.MANAGE, Use.UNSUBSCRIBE])
async def test_a_link_changed_by_one_letter_opens_nothing(db: Database, person: Confirmed, use: Use) -> None:
    token = _end_of_link(db, use, person)
    other = Use.UNSUBSCRIBE if use is Use.MANAGE else Use.MANAGE
    async with db.transaction(read_only=True) as tx:
        for place in range(0, len(token), 5):
            changed = token[:place] + ("a" if token[place] != "a" else "b") + token[place + 1 :]
            assert await links.read_manage(tx, changed) is None
            assert await links.read_unsubscribe(tx, changed) is None
        wrong_use = _end_of_link(db, other, person)
        raised = _end_of_link(db, use, person, version=1)
        read = links.read_manage if use is Use.MANAGE else links.read_unsubscribe
        assert await read(tx, token) is not None
        assert await read(tx, wrong_use) is None
        assert await read(tx, raised) is None


def _end_of_link(db: Database, use: Use, person: Confirmed, version: int = 0) -> str:
    """The token in the link to a person's preferences, or in the one that ends everything."""
    url = tokens.manage_url if use is Use.MANAGE else tokens.unsubscribe_url
    return url(db.keys, URL, person.contact_point, version).rpartition("/")[2]


async def _write_in(db: Database, person: Confirmed, words: str) -> None:
    async with db.transaction() as tx:
        conversation, entry = new_id(), new_id()
        await tx.execute(
            insert(Conversation).values(
                id=conversation,
                reference="R-1",
                contact_point_id=person.contact_point,
                team_id=await tx.scalar(select(Team.id).limit(1)),
                state=ConversationState.NEW,
                opened_at=tx.now,
                last_entry_at=tx.now,
            )
        )
        await tx.execute(
            insert(ConversationEntry).values(
                id=entry,
                conversation_id=conversation,
                direction=Direction.IN,
                medium="email",
                body_sealed=tx.keys.seal(BODY, entry, words),
                verified=True,
                at=tx.now,
            )
        )


async def test_the_download_holds_everything(db: Database, person: Confirmed) -> None:
    await _write_in(db, person, "The lamp by the bridge is out")
    async with db.transaction(read_only=True) as tx:
        held = await preferences.hold_data(tx, person.subscriber)
    written = json.dumps(held)
    for word in (
        EMAIL,
        PHONE,
        "Sam Marker",
        "SE5 9AA",
        ward(0),
        "burglary",
        "given",
        "2026-11",
        "The lamp by the bridge is out",
    ):
        assert word in written
    assert [each["what"] for each in held["sent"]] == [
        "confirm_email",
        "welcome",
        "confirm_sms",
        "welcome",
    ]


async def test_the_erased_are_gone_and_told_nothing(db: Database, person: Confirmed) -> None:
    email = await contact(db, "email", EMAIL)
    before = await templates_of(db)
    for _ in range(2):
        async with db.transaction() as tx:
            await leaving.erase(tx, person.subscriber, source="web")
    assert await templates_of(db) == before
    async with db.transaction() as tx:
        assert await subscriptions.person(tx, person.subscriber) is None
        assert await preferences.hold_data(tx, person.subscriber) == {}
        assert await contact_points.find(tx, "email", EMAIL) is None
        assert await contact_points.addresses(tx, [email.id]) == {email.id: ""}
        assert await suppression.is_suppressed(tx, "email", email.address_hash)
        assert await links.read_manage(tx, person.manage_url.removeprefix(f"{URL}/manage/")) is None
        assert await tx.scalar(select(func.count()).select_from(Subscription)) == 0
        assert await tx.scalar(select(func.count()).select_from(Delivery)) == len(before)


async def test_the_erased_may_come_back_by_themselves(db: Database, person: Confirmed) -> None:
    async with db.transaction() as tx:
        await leaving.erase(tx, person.subscriber, source="web")
    await sign_up(db)
    again = await follow(db, await last_token(db))
    assert isinstance(again, Confirmed)
    assert again.subscriber != person.subscriber
    point = await contact(db, "email", EMAIL)
    async with db.transaction() as tx:
        assert not await suppression.is_suppressed(tx, "email", point.address_hash)
