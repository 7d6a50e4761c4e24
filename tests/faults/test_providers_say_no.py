"""Providers that refuse, throttle, hang or lock us out: nothing is lost, and nobody is pestered.

Their own logs are the oracle. Each test states the factor by which the service's waits are shortened.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from datetime import datetime

import pytest
from sqlalchemy import func, select

from notifier.delivery.alarms import open_alarms
from notifier.delivery.breaker import PROBE_SECONDS
from notifier.models import Attempt, BreakerRow, BreakerState, Delivery, DeliveryState
from notifier.runtime import Service
from tests.fakes import smtp, twilio, web, x
from tests.faults.drill import drill, in_this_process, published
from tests.faults.plugin import Line
from tests.providers import Providers, until

Record = Callable[[Line], None]


def tries_at(mail: smtp.FakeSmtp) -> list[float]:
    """When each recipient is named to the mail server, from now on."""
    seen: list[float] = []
    answer = mail.answer_recipient

    def noted(to: str) -> str:
        seen.append(time.monotonic())
        return answer(to)

    mail.answer_recipient = noted  # type: ignore[method-assign]
    return seen


async def breaker(service: Service, channel: str) -> BreakerState:
    """The state of a channel's breaker, or of the worst domain behind it."""
    async with service.db.transaction(read_only=True) as tx:
        states = (await tx.execute(select(BreakerRow.state).where(BreakerRow.channel == channel))).scalars()
        found = [BreakerState(state) for state in states]
    return next((state for state in found if state is not BreakerState.CLOSED), BreakerState.CLOSED)


async def is_shut(service: Service, channel: str) -> bool:
    return await breaker(service, channel) is not BreakerState.CLOSED


async def is_none_started(service: Service) -> bool:
    async with service.db.transaction(read_only=True) as tx:
        started = select(func.count()).where(Delivery.state == DeliveryState.STARTED)
        return not await tx.scalar(started)


async def starts(service: Service) -> list[datetime]:
    """When each attempt was let go, by the database's clock."""
    async with service.db.transaction(read_only=True) as tx:
        return list((await tx.execute(select(Attempt.started_at).order_by(Attempt.started_at))).scalars())


async def alarms(service: Service) -> list[tuple[str, str]]:
    async with service.db.transaction(read_only=True) as tx:
        return [(alarm.kind, alarm.key) for alarm in await open_alarms(tx)]


@pytest.mark.parametrize(
    ("database_url", "reply"),
    [("sqlite", "421 4.3.2 closing"), ("postgresql", "451 4.3.0 try later")],
    indirect=["database_url"],
)
async def test_f18_a_domain_that_takes_nothing_is_probed_and_loses_nothing(
    database_url: str, far_ends: Providers, record_fault: Record, reply: str
) -> None:
    factor, people = 0.005, 40
    far_ends.mail.refuse(reply, domain="mail.example")
    tried = tries_at(far_ends.mail)
    async with drill(database_url, far_ends, people, media=("email",)) as stage:
        await stage.publish(media=("email",))
        async with in_this_process(
            far_ends,
            database_url,
            NOTIFIER_TIME_FACTOR=str(factor),
            NOTIFIER_SLOTS="2",
            NOTIFIER_RATES="email_smtp/domain=100",
        ) as service:
            await until(lambda: is_shut(service, "email_smtp"), seconds=10, what="the breaker opens")
            await until(lambda: is_none_started(service), seconds=10, what="what was under way ends")
            before = len(tried)
            already = len(await starts(service))
            await until(lambda: len(tried) >= before + 2, seconds=20, what="two probes")
            probes = (await starts(service))[already:]
            assert (await stage.history()).missed == set((await stage.history()).ledger)
            far_ends.mail.refuse("", domain="mail.example")
            seconds = await stage.over(seconds=30)
            found = await stage.history()
    found.judge(bound=0)
    apart = min(b - a for a, b in itertools.pairwise(probes)).total_seconds()
    note = f"seconds between two of {len(probes)} probes: {apart:.2f} at the least"
    record_fault(found.line("F18", _kind(database_url), bound=0, seconds=seconds, note=note))
    assert apart >= PROBE_SECONDS * factor


@pytest.mark.once_on("sqlite")
async def test_f19_refusals_of_a_recipient_or_of_the_words_never_open_the_breaker(
    database_url: str, far_ends: Providers, record_fault: Record
) -> None:
    async with (
        drill(database_url, far_ends, 24, media=("email",)) as stage,
        in_this_process(far_ends, database_url) as service,
    ):
        for number in range(8):
            far_ends.mail.script(f"person{number}@mail.example", "550 5.1.1 no such user")
            far_ends.mail.script_text(f"person{number + 8}@mail.example", "554 5.7.1 looks like spam")
        tried = tries_at(far_ends.mail)
        message = await stage.publish(media=("email",))
        await stage.over(seconds=20)
        assert len(tried) == 24  # none twice
        assert await breaker(service, "email_smtp") is BreakerState.CLOSED
        assert await alarms(service) == [("message", str(message))]
        found = await stage.history()
    assert found.states == {"failed": 8, "held": 8, "accepted": 8}
    found.judge(bound=0, missed=found.ended(DeliveryState.FAILED, DeliveryState.HELD))
    record_fault(found.line("F19", _kind(database_url), bound=0))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_f23_a_storm_of_429_slows_us_down_and_repeats_nothing(
    database_url: str, far_ends: Providers, record_fault: Record
) -> None:
    texts, people = far_ends.texts, 100
    texts.always("send", twilio.throttled(2))
    async with drill(database_url, far_ends, people, media=("sms",)) as stage:
        await stage.publish(media=("sms",))
        async with in_this_process(
            far_ends, database_url, NOTIFIER_RATES="sms_twilio=100", NOTIFIER_TIME_FACTOR="1"
        ) as service:
            await until(lambda: len(texts.sends) > 0, seconds=10, what="a first text is tried")
            await asyncio.sleep(0.7)
            refused = len(texts.sends)
            texts.always("send", None)
            await asyncio.sleep(0.7)
            assert len(texts.sends) == refused  # nothing before Retry-After
            seconds = await stage.over(seconds=30)
            assert not await is_shut(service, "sms_twilio")
        found = await stage.history()
        async with stage.db.transaction(read_only=True) as tx:
            assert await tx.scalar(select(func.max(Delivery.tries))) == 1
    found.judge(bound=0)
    times = sorted(call.at - texts.sends[refused].at for call in texts.sends[refused:])
    record_fault(
        found.line("F23", _kind(database_url), bound=0, seconds=seconds, note=f"{refused} refused, then half")
    )
    # Of the halved rate bulk has 40 at once and 40 a second, and may start a quarter of a second's worth together
    # with what waited for it. Unslowed it has 80 and 80. A busy machine only makes it later.
    too_soon = [(number, at) for number, at in enumerate(times, start=1) if number > 60 * (1 + at)]
    assert not too_soon
    assert times[-1] > 0.9


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_f25_a_provider_that_never_answers_frees_its_slots_and_opens_the_breaker(
    database_url: str, far_ends: Providers, record_fault: Record
) -> None:
    texts = far_ends.texts
    texts.always("send", web.Trouble.HANG)
    async with (
        drill(database_url, far_ends, 30) as stage,
        in_this_process(far_ends, database_url, NOTIFIER_SLOTS="4") as service,
    ):
        channel = service.channels["sms_twilio"]
        channel._session._timeout = twilio.aiohttp.ClientTimeout(total=0.3)  # type: ignore[attr-defined]
        began = time.monotonic()
        await stage.publish()
        await until(lambda: is_shut(service, "sms_twilio"), seconds=10, what="the breaker opens")
        opened = time.monotonic() - began
        await until(lambda: len(far_ends.mail.accepted) == 30, seconds=10, what="mail goes on")
        hung = len(texts.sends)
        texts.always("send", None)
        began = time.monotonic()
        await until(
            lambda: len(texts.accepted) >= 30 - hung, seconds=20, what="what had not started goes out"
        )
        seconds = time.monotonic() - began
        await until(lambda: _nothing_starts(service), seconds=10, what="every slot is free")
        found = await stage.history()
    assert opened < 60
    assert found.missed == found.ended(DeliveryState.IN_DOUBT)  # each is looked up when its wait is over
    assert found.repeats == 0
    assert hung <= 4 * 5 + 3  # the slots' rows, and a probe or two
    record_fault(
        Line(
            fault="F25",
            on=_kind(database_url),
            planned=len(found.ledger),
            lost=0,
            repeats=0,
            bound=0,
            flagged=0,
            recovery_seconds=seconds,
            note=f"open after {opened:.1f} s at a time-out of 0.3 s; {hung} hung and wait for a look-up",
        )
    )


async def _nothing_starts(service: Service) -> bool:
    async with service.db.transaction(read_only=True) as tx:
        return not await tx.scalar(
            select(func.count()).select_from(Delivery).where(Delivery.state == DeliveryState.STARTED)
        )


@pytest.mark.once_on("postgresql")
async def test_f28_when_we_are_locked_out_no_try_is_spent_and_an_operator_is_told(
    database_url: str, far_ends: Providers, record_fault: Record
) -> None:
    texts = far_ends.texts
    texts.always("send", twilio.error(20003, 401))
    async with (
        drill(database_url, far_ends, 30, media=("sms",)) as stage,
        published(stage, media=("sms",)),
        in_this_process(far_ends, database_url, NOTIFIER_TIME_FACTOR="0.002", NOTIFIER_SLOTS="2") as service,
    ):
        began = time.monotonic()
        await until(lambda: alarms(service), seconds=10, what="the operator is told")
        told = time.monotonic() - began
        assert await alarms(service) == [("channel", "sms_twilio")]
        assert await breaker(service, "sms_twilio") is BreakerState.OPERATOR
        await asyncio.sleep(0.5)
        calls = len(texts.sends)
        await asyncio.sleep(1.0)
        assert len(texts.sends) == calls  # the next probe is 1.8 s after the last
        async with service.db.transaction(read_only=True) as tx:
            assert await tx.scalar(select(func.sum(Delivery.tries))) == 0
        texts.always("send", None)
        seconds = await stage.over(seconds=30)
        assert await alarms(service) == []
        found = await stage.history()
    found.judge(bound=0)
    record_fault(
        found.line(
            "F28",
            _kind(database_url),
            bound=0,
            seconds=seconds,
            note=f"told after {told:.1f} s; 0 tries spent",
        )
    )


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("answer", "bound"),
    [
        (web.Trouble.TAKE_AND_CUT, 0),
        (web.Trouble.FAIL_AS_HTML, 0),
        (x.throttled(1), 0),
        (x.LOCKED, 0),
    ],
    ids=["duplicate after a cut", "503 page", "429", "locked"],
)
async def test_f29_whatever_x_says_there_is_one_post_and_other_channels_go_on(
    database_url: str, far_ends: Providers, record_fault: Record, answer: web.Trouble | web.Answer, bound: int
) -> None:
    far_ends.posts.script("send", answer)
    async with (
        drill(database_url, far_ends, 6, media=("email",)) as stage,
        published(stage, media=("email", "social")),
        in_this_process(far_ends, database_url, NOTIFIER_TIME_FACTOR="0.001") as service,
    ):
        await until(lambda: len(far_ends.mail.accepted) == 6, seconds=10, what="mail goes on")
        if answer is x.LOCKED:
            await until(lambda: alarms(service), seconds=10, what="the operator is told")
        seconds = await stage.over(seconds=20)
        await until(lambda: _none(alarms(service)), seconds=5, what="the alarm is cleared")
        found = await stage.history()
    assert len(far_ends.posts.accepted) == 1
    found.judge(bound=bound)
    record_fault(found.line("F29", _kind(database_url), bound=bound, seconds=seconds, note=str(answer)[:30]))


async def _none(found: Awaitable[list[tuple[str, str]]]) -> bool:
    return await found == []


def _kind(url: str) -> str:
    return url.partition(":")[0]
