"""A web process that dies, and people who press twice: one message for one key, one row for one text."""

import asyncio
import random
import signal
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import aiohttp
import pytest
from sqlalchemy import func, select

from notifier.models import IncomingRow, Message, MessageText
from tests.faults.caller import Caller, caller, is_up
from tests.faults.drill import QUICK, Drill, drill, server
from tests.faults.forker import Forked, Forker
from tests.faults.history import title
from tests.faults.plugin import Line, Size
from tests.providers import NUMBER, Providers

New = Callable[[str], str]
Record = Callable[[Line], None]


async def until_answered(asked: Caller, process: Forked, number: int, late: float) -> tuple[int, object]:
    """Draft and approve one message; the process dies `late` seconds after it was asked, and comes back."""

    async def publish() -> tuple[int, object]:
        status, made = await asked.draft(title(number), key=f"draft-{number}")
        if status == 201:
            status, made = await asked.approve(made["id"], key=f"approve-{number}")
        return status, made

    asking = asyncio.create_task(publish())
    await asyncio.sleep(late)
    process.kill()
    process.start()
    status, answer = await asking
    while status != 200:
        await is_up(asked)
        status, answer = await publish()
    return status, answer


@pytest.mark.timeout(900)
@pytest.mark.once_on("sqlite")
async def test_a_post_whose_answer_was_lost_is_one_post_when_it_is_sent_again(
    kind: str,
    new_durable_database: New,
    far_ends: Providers,
    forker: Forker,
    tmp_path: Path,
    dice: random.Random,
    size: Size,
    record_fault: Record,
) -> None:
    url, trials = new_durable_database(kind), size(5, 200)
    async with drill(url, far_ends, 2) as stage:
        process, port = server(forker, far_ends, url, tmp_path / "serve.log", factor=QUICK)
        try:
            process.start()
            async with caller(stage.db, stage.world.teams[0], port) as asked:
                await is_up(asked)
                for number in range(1, trials + 1):
                    await until_answered(asked, process, number, dice.random() * 0.12)
                stage.messages |= await by_number(stage)
                await stage.over(said=[process])
        finally:
            process.kill()
        found = await stage.history()
        repeats = await count(stage, Message) - trials
    record_fault(
        Line(fault="F5 web killed", on=kind, planned=trials, lost=trials - len(stage.messages), repeats=repeats,
             bound=0, flagged=len(found.flagged), note="planned: posts")
    )  # fmt: skip
    assert (len(stage.messages), repeats) == (trials, 0)
    assert len(found.ledger) == trials * 4
    assert not found.lost
    assert found.repeated <= found.flagged


async def by_number(stage: Drill) -> dict[int, UUID]:
    async with stage.db.transaction(read_only=True) as tx:
        rows = await tx.execute(select(MessageText.message_id, MessageText.title))
        return {int(row.title.removeprefix("Drill ")): row.message_id for row in rows}


async def count(stage: Drill, table: type) -> int:
    async with stage.db.transaction(read_only=True) as tx:
        return int(await tx.scalar(select(func.count()).select_from(table)))


@pytest.mark.once_on("postgresql")
async def test_a_text_that_came_as_the_web_died_is_kept_once(
    kind: str,
    new_durable_database: New,
    far_ends: Providers,
    forker: Forker,
    tmp_path: Path,
    dice: random.Random,
    size: Size,
    record_fault: Record,
) -> None:
    """The provider offers a text again until it is answered, as Twilio's fallback or the poll would."""
    url, trials = new_durable_database(kind), size(4, 200)
    async with drill(url, far_ends, 2) as stage:
        process, port = server(forker, far_ends, url, tmp_path / "serve.log")
        hook = f"http://127.0.0.1:{port}/hooks/sms_twilio"
        try:
            async with caller(stage.db, stage.world.teams[0], port) as asked:
                for number in range(trials):
                    side = dice.choice(("C7.before:kill", "C7.after:kill"))
                    process.start(NOTIFIER_FAILPOINT=side)
                    await is_up(asked)
                    with pytest.raises(aiohttp.ClientError):
                        await pass_on(far_ends, hook, number)
                    assert await process.end() == -signal.SIGKILL
                    process.start()
                    await is_up(asked)
                    assert await pass_on(far_ends, hook, number) == 200
                    process.kill()
        finally:
            process.kill()
        kept = await count(stage, IncomingRow)
    record_fault(
        Line(fault="F6 web killed at a text", on=kind, planned=trials, lost=max(trials - kept, 0),
             repeats=max(kept - trials, 0), bound=0, flagged=0, note="planned: texts that came in")
    )  # fmt: skip
    assert kept == trials


async def pass_on(ends: Providers, hook: str, number: int) -> int:
    return await ends.texts.post_incoming(
        hook, sender="+447700900000", to=NUMBER, body=f"Is this {number}?", sid=f"SM{number:032x}"
    )


@pytest.mark.once_on("postgresql")
async def test_ten_posts_of_one_form_at_once_are_one_post(
    kind: str,
    new_durable_database: New,
    far_ends: Providers,
    forker: Forker,
    tmp_path: Path,
    size: Size,
    record_fault: Record,
) -> None:
    url, trials = new_durable_database(kind), size(3, 100)
    async with drill(url, far_ends, 2) as stage:
        process, port = server(forker, far_ends, url, tmp_path / "serve.log")
        try:
            process.start()
            async with caller(stage.db, stage.world.teams[0], port) as asked:
                await is_up(asked)
                for number in range(1, trials + 1):
                    drafts = await asyncio.gather(
                        *(asked.draft(title(number), key=f"form-{number}") for _ in range(10))
                    )
                    assert {status for status, _ in drafts} == {201}, drafts[0][1]["errors"]
                    (id_,) = {made["id"] for _, made in drafts}
                    approved = await asyncio.gather(*(asked.approve(id_) for _ in range(10)))
                    assert {status for status, _ in approved} == {200}
                stage.messages |= await by_number(stage)
                await stage.over(said=[process])
        finally:
            process.kill()
        found = await stage.history()
        posts = await count(stage, Message)
    record_fault(
        Line(fault="F38 ten at once", on=kind, planned=trials, lost=trials - len(stage.messages),
             repeats=posts - trials, bound=0, flagged=len(found.flagged), note="planned: posts")
    )  # fmt: skip
    found.judge(bound=0)
    assert posts == trials
