"""Named places where a process can be made to die, to fail or to wait: how the tests prove what a crash does.

Each commit point of the ledger is one: C0 publish, C1 doorbell, C2 a page of the plan, C3 claim, C4 mark,
C5 the provider's answer, C6 settle, C7 receipt. Off unless `NOTIFIER_FAILPOINT` arms one, which `config`
refuses for a service with a public address. Whoever owns a commit point calls `reach` on both sides of it. A
transaction that wrote no row is none: a lane with nothing to do commits its claims too (see `notifier.db`).
"""

import os
import re
import signal
import time
from dataclasses import dataclass

POINTS = ("C0", "C1", "C2", "C3", "C4", "C5", "C6", "C7")

_SPELLING = re.compile(
    rf"(?P<point>{'|'.join(POINTS)})(?:\.(?P<side>before|after))?"
    r":(?P<action>kill|raise|sleep=(?P<seconds>\d+(?:\.\d+)?))(?:@(?P<hit>[1-9]\d*))?"
)


class FailPointReached(RuntimeError):
    """An armed fail point was reached."""


@dataclass
class _Armed:
    """What is to happen, and how many arrivals are still let through."""

    place: str
    action: str
    seconds: float
    passes: int


_armed: _Armed | None = None


def check(spelling: str) -> str:
    """The spelling unchanged. ValueError says how to write one."""
    if spelling and not _SPELLING.fullmatch(spelling):
        raise ValueError(
            "write it as C4:kill, C4.before:kill, C6:raise or C5:sleep=2, with @3 for the third time"
        )
    return spelling


def arm(spelling: str) -> None:
    """Arm one fail point for this process; an empty spelling disarms. After the commit where no side is said."""
    global _armed  # noqa: PLW0603 - a process dies in one place only
    found = _SPELLING.fullmatch(check(spelling)) if spelling else None
    if found is None:
        _armed = None
        return
    _armed = _Armed(
        place=f"{found['point']}.{found['side'] or 'after'}",
        action=found["action"].partition("=")[0],
        seconds=float(found["seconds"] or 0),
        passes=int(found["hit"] or 1) - 1,
    )


def is_armed(point: str) -> bool:
    """Whether anything is to happen on either side of a point (`C4`)."""
    return _armed is not None and _armed.place.startswith(f"{point}.")


def reach(place: str) -> None:
    """Called with `C4.before` or `C4.after` on either side of a commit point. Costs a comparison when nothing is armed."""
    if _armed is None or _armed.place != place:
        return
    if _armed.passes:
        _armed.passes -= 1
    elif _armed.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif _armed.action == "sleep":
        time.sleep(_armed.seconds)  # the whole process stands still, as a stopped one does
    else:
        raise FailPointReached(place)
