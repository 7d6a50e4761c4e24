"""The ledger: deliveries, their attempts, receipts and events; notices; holds.

A delivery is one message or one notice for one contact point. The row is the queue. Ids are
numbers for speed; outside the building they appear only inside signed tokens.
"""

from datetime import datetime
from enum import IntEnum, StrEnum
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Computed,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    String,
    literal,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from subscribers.models import Base, BigId


class Lane(IntEnum):
    """The order in which deliveries are served."""

    URGENT = 0
    TRANSACTIONAL = 1
    WARD = 2
    BULLETIN = 3


class DeliveryState(StrEnum):
    """See docs/decisions/0002. Not terminal: pending, leased, started, in_doubt."""

    PENDING = "pending"
    LEASED = "leased"
    STARTED = "started"
    IN_DOUBT = "in_doubt"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    HELD = "held"
    UNKNOWN = "unknown"

    @property
    def is_terminal(self) -> bool:
        return self not in _NOT_TERMINAL


_NOT_TERMINAL = frozenset(
    {DeliveryState.PENDING, DeliveryState.LEASED, DeliveryState.STARTED, DeliveryState.IN_DOUBT}
)


class NoticeKind(StrEnum):
    CONFIRM = "confirm"  # the link or code that proves an address
    WELCOME = "welcome"
    ALREADY = "already"  # signed up again: here is your link
    LINK = "link"  # a fresh link to preferences
    RECEIPT = "receipt"  # stopped, started, erased: once
    HELP = "help"
    QUESTION = "question"  # which ward? which postcode?
    ACKNOWLEDGEMENT = "acknowledgement"
    ANSWER = "answer"
    DIGEST = "digest"
    PROBE = "probe"  # do our emails reach you?
    RETURNED = "returned"  # what we send to another address of yours comes back


class Notice(Base):
    """What the service itself says to one contact point. `variables_sealed` is JSON for its template.

    dedupe_key: two notices with the same key are one ("one confirmation per address per day").
    """

    __tablename__ = "notices"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    contact_point_id: Mapped[UUID] = mapped_column(ForeignKey("contact_points.id"), index=True)
    team_id: Mapped[UUID | None] = mapped_column(ForeignKey("teams.id"))
    kind: Mapped[str] = mapped_column(String(16))
    template: Mapped[str] = mapped_column(String(40))
    language: Mapped[str] = mapped_column(String(10))
    variables_sealed: Mapped[bytes]
    entry_id: Mapped[UUID | None]
    dedupe_key: Mapped[str | None] = mapped_column(String(120), unique=True)
    created_at: Mapped[datetime]


# Which open rows a row stands with: the partial indexes go by it. A database makes it of the state, so that neither a
# claim nor a start changes anything that is indexed: PostgreSQL then writes to no index at all (a HOT update).
_ON_ITS_WAY, _IN_DOUBT, _NONE = 1, 2, 0
QUEUE = (
    f"CASE state WHEN '{DeliveryState.PENDING}' THEN {_ON_ITS_WAY} WHEN '{DeliveryState.LEASED}' THEN {_ON_ITS_WAY} "
    f"WHEN '{DeliveryState.STARTED}' THEN {_ON_ITS_WAY} WHEN '{DeliveryState.IN_DOUBT}' THEN {_IN_DOUBT} ELSE {_NONE} END"
)


class Delivery(Base):
    """One message × one contact point, or one notice.

    due_at: not before. lease_until, owner, fence: who works on it, until when, and which claim is
    the latest. tries: attempts made. checks: look-ups made while in doubt. rescues: how often a lost
    worker's hold on it had to be undone; a row that keeps losing its workers is held. maybe_repeat: some attempt
    before this one may have arrived. digest: waits for the person's daily or weekly digest.
    """

    __tablename__ = "deliveries"
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    message_id: Mapped[UUID | None] = mapped_column(ForeignKey("messages.id"))
    notice_id: Mapped[UUID | None] = mapped_column(ForeignKey("notices.id"))
    contact_point_id: Mapped[UUID] = mapped_column(ForeignKey("contact_points.id"))
    channel: Mapped[str] = mapped_column(String(40))
    language: Mapped[str] = mapped_column(String(10))
    lane: Mapped[int] = mapped_column(SmallInteger)
    state: Mapped[str] = mapped_column(String(12))
    queue: Mapped[int | None] = mapped_column(SmallInteger, Computed(QUEUE, persisted=True))
    due_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    owner: Mapped[str | None] = mapped_column(String(80))
    fence: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    tries: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    checks: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    rescues: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    maybe_repeat: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    digest: Mapped[str | None] = mapped_column(String(8))
    digest_notice_id: Mapped[UUID | None]
    reason: Mapped[str | None] = mapped_column(String(200))
    provider_id: Mapped[str | None] = mapped_column(String(200))
    __table_args__ = (
        CheckConstraint("(message_id IS NULL) <> (notice_id IS NULL)", name="one_content"),
        Index("uq_deliveries_message_contact_point", "message_id", "contact_point_id", unique=True),
        # Each new version of a row is written to every index that holds it: so none holds more than it must.
        Index(
            "uq_deliveries_notice_id",
            "notice_id",
            unique=True,
            postgresql_where=text("notice_id IS NOT NULL"),
            sqlite_where=text("notice_id IS NOT NULL"),
        ),
        Index(
            "ix_deliveries_digest_notice_id",
            "digest_notice_id",
            postgresql_where=text("digest_notice_id IS NOT NULL"),
            sqlite_where=text("digest_notice_id IS NOT NULL"),
        ),
        Index(
            "ix_deliveries_due",
            "message_id",
            "lane",
            "due_at",
            "id",
            postgresql_where=text(f"queue = {_ON_ITS_WAY} AND digest IS NULL"),
            sqlite_where=text(f"queue = {_ON_ITS_WAY} AND digest IS NULL"),
        ),
        Index(
            "ix_deliveries_digest",
            "digest",
            "message_id",
            "contact_point_id",
            postgresql_where=text(f"queue = {_ON_ITS_WAY} AND digest IS NOT NULL"),
            sqlite_where=text(f"queue = {_ON_ITS_WAY} AND digest IS NOT NULL"),
        ),
        Index(
            "ix_deliveries_in_doubt",
            "due_at",
            postgresql_where=text(f"queue = {_IN_DOUBT}"),
            sqlite_where=text(f"queue = {_IN_DOUBT}"),
        ),
        Index("ix_deliveries_contact_point_id", "contact_point_id", "id"),
    )


# Written as constants, so that both databases see that the partial indexes serve.
IS_ON_ITS_WAY = Delivery.queue == literal(_ON_ITS_WAY, literal_execute=True)
IS_IN_DOUBT = Delivery.queue == literal(_IN_DOUBT, literal_execute=True)
IS_PENDING = IS_ON_ITS_WAY & (Delivery.state == literal(DeliveryState.PENDING.value, literal_execute=True))
IS_IN_FLIGHT = (  # leased or started: never while a digest is waited for
    IS_ON_ITS_WAY
    & Delivery.digest.is_(None)
    & Delivery.state.in_(
        [
            literal(state.value, literal_execute=True)
            for state in (DeliveryState.LEASED, DeliveryState.STARTED)
        ]
    )
)


class Attempt(Base):
    """One try, written and committed before the provider is called. No foreign key: a third of its cost.

    became: the state its end gave the delivery; empty where a later claim or a receipt had overtaken it.
    """

    __tablename__ = "attempts"
    delivery_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    started_at: Mapped[datetime]
    owner: Mapped[str] = mapped_column(String(80))
    settled_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(12))
    reason: Mapped[str | None] = mapped_column(String(200))
    code: Mapped[str | None] = mapped_column(String(40))
    provider_id: Mapped[str | None] = mapped_column(String(200))
    became: Mapped[str | None] = mapped_column(String(12))


class DeliveryEvent(Base):
    """Append-only: what neither attempt nor receipt says (suppressed, expired, cancelled, resolved, swept).

    number: the claim (fence) it concerns. state: what the delivery became by it; empty where it stayed.
    """

    __tablename__ = "delivery_events"
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    delivery_id: Mapped[int] = mapped_column(BigId, index=True)
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(String(20))
    detail: Mapped[str] = mapped_column(String(200))
    number: Mapped[int | None]
    state: Mapped[str | None] = mapped_column(String(12))


class ReceiptRow(Base):
    """A provider's later word, kept raw; unknown attempts are kept too and matched when they can be.

    permanent, opted_out: what it said of the address itself.
    """

    __tablename__ = "receipts"
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    channel: Mapped[str] = mapped_column(String(40))
    event_id: Mapped[str] = mapped_column(String(200))
    provider_id: Mapped[str | None] = mapped_column(String(200))
    delivery_id: Mapped[int | None] = mapped_column(BigId, index=True)
    number: Mapped[int | None]
    progress: Mapped[str] = mapped_column(String(12))
    raw_sealed: Mapped[bytes]
    code: Mapped[str | None] = mapped_column(String(40))
    permanent: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    opted_out: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    at: Mapped[datetime]
    __table_args__ = (
        Index("uq_receipts_channel_event_id", "channel", "event_id", unique=True),
        Index("ix_receipts_channel_provider_id", "channel", "provider_id"),
    )


class HoldScope(StrEnum):
    SYSTEM = "system"
    CHANNEL = "channel"
    TEAM = "team"


class Hold(Base):
    """Nothing of this scope starts while the row stands; read at the mark.

    A message is paused by its own state. key: a channel's name, a team's id, or empty for the system."""

    __tablename__ = "holds"
    scope: Mapped[str] = mapped_column(String(10), primary_key=True)
    key: Mapped[str] = mapped_column(String(60), primary_key=True)
    reason: Mapped[str]
    by: Mapped[str] = mapped_column(String(60))
    since: Mapped[datetime]


class NumberLease(Base):
    """The number from which a team's texts reach a person: no other team of theirs, where we have numbers enough."""

    __tablename__ = "number_leases"
    contact_point_id: Mapped[UUID] = mapped_column(ForeignKey("contact_points.id"), primary_key=True)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"), primary_key=True)
    channel: Mapped[str] = mapped_column(String(40), primary_key=True)
    number: Mapped[str] = mapped_column(String(20))
    since: Mapped[datetime]
