"""Reads mails in a process of its own, one after another, each within bounds that the system holds.

Run as `python -m channels.mailchild` by the inbox, for mails too large to be surely cheap. Asked: eight octets of length,
then the mail. Answers: eight octets of length, then JSON. It ends when nobody asks any more; a mail that takes more
CPU than it may ends it (SIGPROF), and one that takes more memory is answered with null.
"""

import json
import resource
import signal
import sys
from dataclasses import asdict
from datetime import datetime
from typing import Any, BinaryIO

from channels.bounce_reasons import Failure
from channels.complaints import Complaint
from channels.delivery_fields import Bounce
from channels.mailread import Mail, read_mail
from channels.reports import Report

CPU_SECONDS, MEMORY = 2.0, 256 * 1024 * 1024  # for one mail, and beyond what the process itself takes
LENGTH = 8  # octets, the greatest first


def pack(mail: Mail) -> bytes:
    """A mail as JSON."""
    return json.dumps(asdict(mail) | {"date": mail.date.isoformat() if mail.date else None}).encode()


def unpack(data: bytes) -> Mail | None:
    """What `pack` made; None where there was no memory to read it."""
    said = json.loads(data)
    if said is None:
        return None
    lists = {name: tuple(value) for name, value in said.items() if isinstance(value, list)}
    return Mail(
        **said
        | lists
        | {
            "date": datetime.fromisoformat(said["date"]) if said["date"] else None,
            "report": Report(said["report"]),
            "bounces": tuple(_bounce(each) for each in said["bounces"]),
            "complaint": _complaint(said["complaint"]),
        }
    )


def serve(asked: BinaryIO, answers: BinaryIO, *, cpu_seconds: float) -> None:
    """Read mail after mail until the questions end."""
    while len(length := asked.read(LENGTH)) == LENGTH:
        raw = asked.read(int.from_bytes(length, "big"))
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        try:
            answer = pack(read_mail(raw))
        except MemoryError:
            answer = b"null"
        signal.setitimer(signal.ITIMER_PROF, 0)
        del raw
        answers.write(len(answer).to_bytes(LENGTH, "big") + answer)
        answers.flush()


def main() -> None:
    """Take the bounds on, and serve. Arguments: CPU seconds and octets of memory for each mail."""
    cpu_seconds, memory = float(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    own = _address_space()
    resource.setrlimit(resource.RLIMIT_AS, (own + memory, own + memory))
    serve(sys.stdin.buffer, sys.stdout.buffer, cpu_seconds=cpu_seconds)


def _address_space() -> int:
    """Octets of address space taken already; none where the system does not say (only Linux does)."""
    try:
        with open("/proc/self/statm", encoding="ascii") as pages:
            return int(pages.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 512 * 1024 * 1024


def _bounce(said: dict[str, Any]) -> Bounce:
    return Bounce(**said | {"failure": Failure(said["failure"])})


def _complaint(said: dict[str, Any] | None) -> Complaint | None:
    return Complaint(kind=said["kind"], recipients=tuple(said["recipients"])) if said else None


if __name__ == "__main__":
    main()
