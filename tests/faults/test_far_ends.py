"""A mail server that hangs up after the dot: each such mail goes once more, under its old name, and is flagged."""

import random
from collections.abc import Callable

import pytest

from tests.fakes import smtp
from tests.faults.drill import QUICK, drill, in_this_process
from tests.faults.history import story
from tests.faults.plugin import Line, Size
from tests.providers import Providers

Record = Callable[[Line], None]


@pytest.mark.once_on("sqlite")
async def test_mails_cut_after_the_dot_are_sent_once_more_under_the_same_message_id(
    database_url: str, far_ends: Providers, dice: random.Random, size: Size, record_fault: Record
) -> None:
    async with drill(database_url, far_ends, size(100, 2000), media=("email",)) as stage:
        addresses = sorted(stage.world.addresses[point] for point in stage.world.points.values())
        cut = dice.sample(addresses, len(addresses) // 20)
        for address in cut:
            far_ends.mail.script_text(address, smtp.Trouble.CUT_AFTER_DOT)
        await stage.publish(media=("email",))
        async with in_this_process(far_ends, database_url, factor=QUICK):
            seconds = await stage.over(seconds=90)
        found = await stage.history()
        for key in sorted(found.repeated - found.flagged)[:3]:
            print(key, await story(stage.db, found.ledger[key].id))  # noqa: T201 - shown where the test fails
    names: dict[str, set[str]] = {}
    for mail in far_ends.mail.accepted:
        names.setdefault(mail.to, set()).add(str(mail.message["Message-ID"]))
    kind = "sqlite" if database_url.startswith("sqlite") else "postgresql"
    record_fault(found.line("F21 5 % cut after the dot", kind, bound=len(cut), seconds=seconds))
    found.judge(bound=len(cut))
    assert found.repeated == found.flagged == {(1, address) for address in cut}
    assert all(len(ids) == 1 for ids in names.values()), "a mailbox can tell that it is the same mail"
