"""How sending itself is doing: workers, breakers, spending, alarms, and what runs by the clock."""

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import Index, Integer, SmallInteger, String, text
from sqlalchemy.orm import Mapped, mapped_column

from subscribers.models import Base, BigId


class WorkerRow(Base):
    """A process that serves the ledger, and when it was last heard of. lanes: names, separated by spaces."""

    __tablename__ = "workers"
    owner: Mapped[str] = mapped_column(String(80), primary_key=True)
    lanes: Mapped[str] = mapped_column(String(60))
    version: Mapped[str] = mapped_column(String(20))
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"  # nothing starts before its wait is over
    HALF_OPEN = "half_open"  # one probe at a time
    OPERATOR = "operator"  # credentials, credit or suspension: somebody must act


class BreakerRow(Base):
    """The breaker of a provider (domain empty) or of one recipient domain behind it.

    recent: the last 20 results, oldest first, `.` for good and `x` for a fault. wait_seconds: how long it
    stays open before the next probe, doubling. probe_at: not before then. No row: closed.
    domain: the keyed hash of a recipient domain in hex, for a rare domain would name a person.
    shown_domain: the domain itself where many people share it, else empty.
    """

    __tablename__ = "breakers"
    channel: Mapped[str] = mapped_column(String(40), primary_key=True)
    domain: Mapped[str] = mapped_column(String(64), primary_key=True)
    shown_domain: Mapped[str] = mapped_column(String(120), default="", server_default="")
    state: Mapped[str] = mapped_column(String(10))
    recent: Mapped[str] = mapped_column(String(20), default="", server_default="")
    wait_seconds: Mapped[float] = mapped_column(default=0.0, server_default="0")
    opened_at: Mapped[datetime | None]
    probe_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(String(200), default="", server_default="")
    code: Mapped[str] = mapped_column(String(40), default="", server_default="")


class Spending(Base):
    """What a team's deliveries on a channel cost on a day (of the service's time zone), counted as they start.

    team: its id as text, empty for the service's own notices. parts: messages or text parts.
    """

    __tablename__ = "spending"
    day: Mapped[date] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(String(40), primary_key=True)
    team: Mapped[str] = mapped_column(String(36), primary_key=True)
    parts: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    pence: Mapped[float] = mapped_column(default=0.0, server_default="0")


class Alarm(Base):
    """Something an operator must know of. One is open for each kind and key until it is cleared.

    told_at: when it went to the alarm address, if there is one.
    """

    __tablename__ = "alarms"
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(String(40))
    key: Mapped[str] = mapped_column(String(120))
    detail: Mapped[str]
    raised_at: Mapped[datetime]
    told_at: Mapped[datetime | None]
    cleared_at: Mapped[datetime | None]
    __table_args__ = (
        Index(
            "uq_alarms_open",
            "kind",
            "key",
            unique=True,
            postgresql_where=text("cleared_at IS NULL"),
            sqlite_where=text("cleared_at IS NULL"),
        ),
    )


class Run(Base):
    """The last run of something that goes by the clock: nightly proof, digests. A run that was lost is found here."""

    __tablename__ = "runs"
    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    result: Mapped[str] = mapped_column(String(200), default="", server_default="")


class Poll(Base):
    """How far a channel that must be asked has been read. cursor: the channel's own.

    next_at: not asked before; while it is being asked, until when that process has it. failures: since it last
    went well. reason: of the last failure, in words.
    """

    __tablename__ = "polls"
    channel: Mapped[str] = mapped_column(String(40), primary_key=True)
    cursor: Mapped[str] = mapped_column(default="", server_default="")
    polled_at: Mapped[datetime | None]
    next_at: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    reason: Mapped[str] = mapped_column(String(200), default="", server_default="")
