"""One post, whatever is pressed how often: double clicks, retries, two tabs, and the same words again."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from notifier.broadcast import doubles, draft, endorse, recall
from notifier.broadcast.doubles import LikelyDouble
from notifier.db import Database
from notifier.models import Delivery, Message, MessageState
from tests.integration.ledger import publish, world_of
from tests.world import BOROUGH, World, ward

TEXT = {"en": ("Patrols tonight", "We will be in the park from 6pm. **Come and say hello.**")}


async def written(db: Database, world: World, *, team: int = 0, key: str = "", **changes: object) -> UUID:
    fields = {"kind": "priority_update", "texts": TEXT, "areas": (ward(0),), "media": ("email",)}
    async with db.transaction() as tx:
        new = draft.Draft(**(fields | changes), form_key=key)  # type: ignore[arg-type]
        return await draft.save(tx, new, team=world.teams[team], author=None)


async def pressed(db: Database, world: World, message: UUID, *, allow: bool = False) -> str:
    try:
        async with db.transaction() as tx:
            step = await endorse.press(tx, message, team=world.teams[0], officer=None, allow_duplicate=allow)
    except LikelyDouble:
        return "asked"
    return step.value


async def test_ten_presses_at_once_on_one_draft_are_one_post(db: Database) -> None:
    world = await world_of(db)
    message = await written(db, world)
    said = await asyncio.gather(*(pressed(db, world, message) for _ in range(10)))
    assert set(said) == {"approved"}
    async with db.transaction(read_only=True) as tx:
        assert await tx.scalar(select(func.count()).where(Message.state == MessageState.APPROVED)) == 1


async def test_of_ten_tabs_with_the_same_words_one_goes_out_and_nine_are_asked(db: Database) -> None:
    world = await world_of(db)
    tabs = [await written(db, world) for _ in range(10)]
    said = await asyncio.gather(*(pressed(db, world, message) for message in tabs))
    assert sorted(said) == ["approved", *["asked"] * 9]


async def test_the_same_words_again_are_asked_about_with_time_and_number(db: Database) -> None:
    world = await world_of(db)
    first = await publish(db, world, media=("email",))
    again = await written(db, world, areas=(BOROUGH,))  # the ward of the first lies in it
    async with db.transaction(read_only=True) as tx:
        double = await doubles.same_words(tx, again)
    assert double is not None
    assert (double.id, double.title, double.audience) == (first, "Patrols tonight", 4)
    assert await pressed(db, world, again) == "asked"
    assert await pressed(db, world, again, allow=True) in ("approved", "waits")
    async with db.transaction(read_only=True) as tx:
        assert await tx.scalar(select(Message.doubles_id).where(Message.id == again)) == first


@pytest.mark.parametrize(
    "changes",
    [{"areas": (ward(3),)}, {"texts": {"en": ("Patrols tonight", "Other words")}}],
    ids=["elsewhere", "other words"],
)
async def test_other_places_and_other_words_are_no_double(db: Database, changes: Any) -> None:
    world = await world_of(db)
    await publish(db, world)
    async with db.transaction(read_only=True) as tx:
        assert await doubles.same_words(tx, UUID(int=0)) is None
    message = await written(db, world, **changes)
    assert await pressed(db, world, message) == "approved"


async def test_a_message_that_was_taken_back_may_be_sent_anew(db: Database) -> None:
    world = await world_of(db)
    first = await publish(db, world, wards=(0,))
    async with db.transaction() as tx:
        await recall.cancel(tx, first, team=world.teams[0])
    assert await pressed(db, world, await written(db, world)) == "approved"
    async with db.transaction(read_only=True) as tx:
        assert await tx.scalar(select(func.count()).where(Delivery.state == "pending")) == 0
