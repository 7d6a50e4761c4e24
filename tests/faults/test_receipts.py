"""Twilio at its worst: it fails after accepting, and its receipts come late, reversed, repeated, or too early."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from uuid import UUID

import pytest
from aiohttp.test_utils import TestServer
from sqlalchemy import func, select, update

from notifier import config
from notifier.broadcast import approve, draft, report
from notifier.delivery import proof
from notifier.models import Attempt, Delivery, IncomingRow, Lane, ReceiptRow
from notifier.runtime import Service, channel_variables, open_service
from notifier.web.app import make_app
from notifier.worker import Worker
from tests.fakes import FakeSmtp, FakeTwilio, FakeX
from tests.fakes.twilio import Telling
from tests.fakes.web import Trouble
from tests.faults.plugin import Line, Size
from tests.providers import Providers, free_port, until
from tests.world import World, make_people, make_places, ward

FACTOR = "0.002"  # of every lease and wait: 10 minutes become 1.2 s
PUBLIC = "https://link.example"
SEED = 26


@asynccontextmanager
async def service(database_url: str, *, calls_back: bool = False) -> AsyncIterator[tuple[Service, Providers]]:
    """The whole service in this process: one worker, the web's hooks, and a Twilio that calls them."""
    async with AsyncExitStack() as stack:
        port = free_port()
        texts = FakeTwilio(calls_back=calls_back, hooks_url=f"http://127.0.0.1:{port}")
        ends = Providers(
            mail=await stack.enter_async_context(FakeSmtp()),
            texts=await stack.enter_async_context(texts),
            posts=await stack.enter_async_context(FakeX()),
        )
        # Two slots: what is started at once must be told of, call by call, within a lease of a second.
        own = {"NOTIFIER_TIME_FACTOR": FACTOR, "NOTIFIER_BASE_URL": PUBLIC, "NOTIFIER_SLOTS": "2"}
        settings = ends.settings(database_url, **own)
        opened = await stack.enter_async_context(open_service(config.build(settings, channel_variables)))
        await stack.enter_async_context(TestServer(make_app(opened), port=port))
        worker = Worker(opened, opened.db.jobs)
        task = asyncio.create_task(worker.run())
        try:
            yield opened, ends
        finally:
            worker.stop()
            await task


async def people(opened: Service, number: int) -> World:
    async with opened.db.transaction() as tx:
        world = await make_places(tx)
        await make_people(tx, world, number, wards=(0,), media=("sms",))
    return world


async def publish(opened: Service, world: World, words: str, kind: str = "priority_update") -> UUID:
    async with opened.db.transaction() as tx:
        written = draft.Draft(
            kind=kind, texts={"en": (words, "We will be in the park from 6pm.")}, areas=(ward(0),), media=("sms",)
        )  # fmt: skip
        message = await draft.save(tx, written, team=world.teams[0], author=None)
        await approve.approve(tx, message, team=world.teams[0], officer=None)
    return message


async def over(opened: Service, *messages: UUID) -> None:
    async def is_over() -> bool:
        async with opened.db.transaction(read_only=True) as tx:
            found = [await report.progress(tx, message) for message in messages]
        return all(each is not None and each.is_over for each in found)

    await until(is_over, seconds=60, what="the messages are over")


async def states(opened: Service) -> Counter[str]:
    async with opened.db.transaction(read_only=True) as tx:
        return Counter((await tx.execute(select(Delivery.state))).scalars())


async def wrong(opened: Service) -> list[str]:
    proved = await proof.prove(lambda: opened.db.transaction(read_only=True))
    return [finding.in_words for finding in proved.findings]


async def flagged(opened: Service, world: World, lane: Lane) -> set[str]:
    async with opened.db.transaction(read_only=True) as tx:
        points = await tx.execute(
            select(Delivery.contact_point_id).where(Delivery.maybe_repeat.is_(True), Delivery.lane == lane)
        )
        return {world.addresses[point] for point in points.scalars()}


@pytest.mark.once_on("postgresql")
async def test_half_the_answers_lost_after_accepting_loses_nothing_and_repeats_only_what_is_flagged(
    database_url: str, size: Size, record_fault: Callable[[Line], None]
) -> None:
    number = size(15, 300)
    async with service(database_url) as (opened, ends):
        world = await people(opened, number)
        ends.texts.always("send", Trouble.TAKE_AND_FAIL, share=0.5, seed=SEED)
        ends.texts.always("list", Trouble.FAIL_AS_HTML, share=0.3, seed=SEED)  # nothing is decided by that
        ward_message = await publish(opened, world, "Patrols tonight")
        alert = await publish(opened, world, "Take shelter", kind="alert")
        await over(opened, ward_message, alert)
        for lane, words, bound in (
            (Lane.WARD, "Patrols tonight", number * 0.01),
            (Lane.URGENT, "Take shelter", number),
        ):
            taken = Counter(text.to for text in ends.texts.accepted if words in text.body)
            repeated = {to for to, times in taken.items() if times > 1}
            marked = await flagged(opened, world, lane)
            line = Line(
                fault=f"F24 5xx after accepting, {lane.name.lower()}",
                on=opened.db.engine.dialect.name,
                planned=number,
                lost=number - len(taken),
                repeats=taken.total() - len(taken),
                bound=int(bound),
                flagged=len(marked),
            )
            record_fault(line)
            assert line.lost == 0
            assert line.repeats <= bound
            assert repeated <= marked
        assert await states(opened) == {"accepted": 2 * number}
        assert await wrong(opened) == []


@pytest.mark.once_on("sqlite")
async def test_receipts_before_our_own_settle_five_times_and_the_last_word_first(
    database_url: str, size: Size, record_fault: Callable[[Line], None]
) -> None:
    number = size(10, 200)
    async with service(database_url, calls_back=True) as (opened, ends):
        world = await people(opened, number)
        ends.texts.telling = Telling(words=("delivered", "sent"), times=5, first=True)
        ends.texts.always("send", Trouble.TAKE_AND_FAIL, share=0.5, seed=SEED)
        ends.texts.always("list", Trouble.FAIL_AS_HTML)
        await over(opened, await publish(opened, world, "Patrols tonight"))
        every = number * 2 * 5
        await until(lambda: ends.texts.answers.total() == every, seconds=60, what="all is told")
        assert ends.texts.answers == {200: every}
        record_fault(await told_in(opened, ends, world, "F26 receipts first, reversed, five times"))
        async with opened.db.transaction(read_only=True) as tx:
            assert await tx.scalar(select(func.count()).select_from(ReceiptRow)) == 2 * number


@pytest.mark.once_on("postgresql")
async def test_receipts_three_days_late_still_count_and_those_for_nobody_are_kept(
    database_url: str, size: Size, record_fault: Callable[[Line], None]
) -> None:
    number = size(5, 100)
    async with service(database_url, calls_back=True) as (opened, ends):
        world = await people(opened, number)
        ends.texts.telling = Telling(words=("undelivered", "delivered", "sent"), times=2, held=True)
        await over(opened, await publish(opened, world, "Patrols tonight"))
        assert await states(opened) == {"accepted": number}
        async with opened.db.transaction() as tx:
            earlier = tx.now - timedelta(hours=72)
            await tx.execute(update(Attempt).values(started_at=earlier, settled_at=earlier))
        await ends.texts.tell_held()
        stranger = ends.texts.accepted[0]
        for word in ("sent", "huh"):  # of a text that another system sent, and of a kind nobody knows
            fields = ends.texts.status_fields(stranger, word) | {"MessageSid": f"SM{'f' * 32}"}
            url = f"{PUBLIC}/hooks/sms_twilio?attempt=nobodys"
            assert await ends.texts.tell(url, fields) == 200
        assert set(ends.texts.answers) == {200}
        async with opened.db.transaction(read_only=True) as tx:
            kept = await tx.scalar(select(func.count()).where(ReceiptRow.delivery_id.is_(None)))
            not_understood = await tx.scalar(select(func.count()).select_from(IncomingRow))
        assert (kept, not_understood) == (1, 1)
        record_fault(await told_in(opened, ends, world, "F26 receipts 72 h late, twice"))


async def told_in(opened: Service, ends: Providers, world: World, fault: str) -> Line:
    """Everybody got it once, and the ledger knows that they did."""
    number = len(world.subscribers)
    taken = Counter(text.to for text in ends.texts.accepted)
    assert await states(opened) == {"delivered": number}
    assert await wrong(opened) == []
    marked = await flagged(opened, world, Lane.WARD)
    assert (taken.total(), len(taken), len(marked)) == (number, number, 0)
    kind = opened.db.engine.dialect.name
    return Line(fault=fault, on=kind, planned=number, lost=0, repeats=0, bound=0, flagged=0)
