"""Rows of people and places, the declarative base, and what a transaction is to this package.

The tables are read and written with SQLAlchemy Core statements over an open transaction; no
object outlives its statement. Sealed columns end in `_sealed` and go through `signing.Keys`.
"""

import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar, Protocol
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    CursorResult,
    DateTime,
    Dialect,
    Executable,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Text,
    Uuid,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from subscribers.signing import Keys


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC time on both databases; SQLite would hand back a naive one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone reached the database")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


BigId = BigInteger().with_variant(Integer(), "sqlite")


class Base(DeclarativeBase):
    """All tables of the service hang on this base."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UTCDateTime(),
        bytes: LargeBinary(),
        str: Text(),
        UUID: Uuid(),
        dict[str, Any]: JSON(),
    }


class Transaction(Protocol):
    """What the packages below the service need of an open transaction (`notifier.db` gives it).

    now: the database's clock, read once at the start. keys: the opened ring. on_commit queues a
    job by name and ids, never content, once and only if the transaction commits.
    """

    now: datetime
    keys: Keys
    dialect: str

    async def execute(
        self, statement: Executable, values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]: ...

    async def scalar(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Any: ...

    def on_commit(self, job: str, *ids: str) -> None: ...


def new_id() -> UUID:
    """A version 7 UUID (RFC 9562): ordered by time for the index, 74 random bits for the world outside."""
    stamp = time.time_ns() // 1_000_000
    bits = (stamp << 80) | (0x7 << 76) | (secrets.randbits(12) << 64) | (0b10 << 62) | secrets.randbits(62)
    return UUID(int=bits)


# --- Keys -------------------------------------------------------------------------------------


class DataKey(Base):
    __tablename__ = "data_keys"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    purpose: Mapped[str] = mapped_column(String(40), unique=True)
    wrapped: Mapped[bytes]
    created_at: Mapped[datetime]


# --- Places -----------------------------------------------------------------------------------


class AreaKind(StrEnum):
    FORCE = "force"
    BOROUGH = "borough"
    WARD = "ward"
    CUSTOM = "custom"


class Area(Base):
    """A place with a code. `served`: do our teams work there? `valid_to`: a ward redrawn keeps its row."""

    __tablename__ = "areas"
    code: Mapped[str] = mapped_column(String(20), primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    name: Mapped[str]
    parent_code: Mapped[str | None] = mapped_column(ForeignKey("areas.code"), index=True)
    served: Mapped[bool] = mapped_column(default=False)
    valid_to: Mapped[datetime | None]


class Postcode(Base):
    """One unit postcode in its canonical form (`SW1A 1AA`). Months are `YYYY-MM`."""

    __tablename__ = "postcodes"
    postcode: Mapped[str] = mapped_column(String(8), primary_key=True)
    ward_code: Mapped[str | None] = mapped_column(String(20), index=True)
    borough_code: Mapped[str | None] = mapped_column(String(20))
    easting: Mapped[int | None]
    northing: Mapped[int | None]
    lat: Mapped[float | None]
    long: Mapped[float | None]
    quality: Mapped[int | None] = mapped_column(SmallInteger)
    introduced: Mapped[str | None] = mapped_column(String(7))
    terminated: Mapped[str | None] = mapped_column(String(7))
    vintage: Mapped[str | None] = mapped_column(String(20))
    gone_in: Mapped[str | None] = mapped_column(String(20))
    __table_args__ = ({"sqlite_with_rowid": False},)


class Topic(Base):
    """What a message can be about. `labels`: language → words."""

    __tablename__ = "topics"
    slug: Mapped[str] = mapped_column(String(40), primary_key=True)
    labels: Mapped[dict[str, Any]]


# --- People -----------------------------------------------------------------------------------


class SubscriberState(StrEnum):
    ACTIVE = "active"
    ERASED = "erased"


class Subscriber(Base):
    """A person we may write to. The row exists only once a contact point is confirmed.

    link_version: raised to make every link sent so far worthless. postcode_hash: the keyed hash of the
    canonical postcode. cell_east, cell_north: its square of a 250 m grid (National Grid metres // 250).
    quiet_from, quiet_until: minutes after local midnight between which nothing but alerts is sent; both or
    neither. weekly_limit: most messages in seven days, alerts apart.
    """

    __tablename__ = "subscribers"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    name_sealed: Mapped[bytes | None]
    postcode_sealed: Mapped[bytes | None]
    home_area_code: Mapped[str | None] = mapped_column(ForeignKey("areas.code"))
    language: Mapped[str] = mapped_column(String(10))
    state: Mapped[str] = mapped_column(String(10))
    link_version: Mapped[int] = mapped_column(default=0)
    created_via: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime]
    postcode_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32), index=True)
    cell_east: Mapped[int | None]
    cell_north: Mapped[int | None]
    quiet_from: Mapped[int | None] = mapped_column(SmallInteger)
    quiet_until: Mapped[int | None] = mapped_column(SmallInteger)
    weekly_limit: Mapped[int | None] = mapped_column(SmallInteger)
    __table_args__ = (
        Index("ix_subscribers_cell", "cell_east", "cell_north"),
        # For audiences that walk people in order: by wide distances, and for the language of each delivery.
        Index(
            "ix_subscribers_place",
            "id",
            postgresql_include=["cell_east", "cell_north", "language"],
        ),
    )


class ContactPointState(StrEnum):
    UNCONFIRMED = "unconfirmed"
    ACTIVE = "active"
    STOPPED = "stopped"
    BOUNCED = "bounced"


class ContactPoint(Base):
    """One address on one medium. No subscriber before confirmation, for a team's account or number,
    and for a sender nobody knows.

    bounce_score: how much speaks against it, as of bounced_at, the last time something did. probed_at: when
    we last asked it for a sign of life.
    """

    __tablename__ = "contact_points"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    subscriber_id: Mapped[UUID | None] = mapped_column(ForeignKey("subscribers.id"))
    medium: Mapped[str] = mapped_column(String(10))
    address_sealed: Mapped[bytes]
    address_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    state: Mapped[str] = mapped_column(String(12))
    verified_at: Mapped[datetime | None]
    stopped_at: Mapped[datetime | None]
    can_reply: Mapped[bool] = mapped_column(default=True)
    bounce_score: Mapped[float] = mapped_column(default=0.0)
    bounced_at: Mapped[datetime | None]
    probed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    __table_args__ = (
        Index("uq_contact_points_medium_address_hash", "medium", "address_hash", unique=True),
        # With what audiences ask of an address, so that they need not read the sealed rows.
        Index(
            "ix_contact_points_reach",
            "subscriber_id",
            postgresql_include=["id", "medium", "state", "verified_at", "stopped_at"],
        ),
        Index(
            "ix_contact_points_bounced_at",
            "bounced_at",
            postgresql_where=text("bounced_at IS NOT NULL"),
            sqlite_where=text("bounced_at IS NOT NULL"),
        ),
        # One live address of a person on each medium: so one copy of a message on each medium.
        Index(
            "uq_contact_points_live",
            "subscriber_id",
            "medium",
            unique=True,
            postgresql_where=text("state = 'active' AND subscriber_id IS NOT NULL"),
            sqlite_where=text("state = 'active' AND subscriber_id IS NOT NULL"),
        ),
    )


class SignUp(Base):
    """A wish to subscribe, until the address's owner confirms it. Choices are sealed JSON.

    token_hash: of the link's token. code_hash: of the six digits sent by text.
    """

    __tablename__ = "sign_ups"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    contact_point_id: Mapped[UUID] = mapped_column(
        ForeignKey("contact_points.id", ondelete="CASCADE"), index=True
    )
    choices_sealed: Mapped[bytes]
    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    code_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    tries_left: Mapped[int] = mapped_column(SmallInteger, default=5)
    wording_version: Mapped[str] = mapped_column(String(20))
    source: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    confirmed_at: Mapped[datetime | None]


class ConsentEvent(Base):
    """Append-only: who agreed to what, in which words, when, and how we know.

    No foreign key: the evidence outlives an erased contact point."""

    __tablename__ = "consent_events"
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    contact_point_id: Mapped[UUID]
    action: Mapped[str] = mapped_column(String(20))
    purpose: Mapped[str] = mapped_column(String(40))
    wording_version: Mapped[str] = mapped_column(String(20))
    source: Mapped[str] = mapped_column(String(40))
    actor: Mapped[str] = mapped_column(String(60))
    at: Mapped[datetime]
    __table_args__ = (Index("ix_consent_events_contact_point_id_at", "contact_point_id", "at"),)


class Frequency(StrEnum):
    """How soon a person wants what is sent; the sooner, the earlier in the alphabet: audiences rely on it."""

    AT_ONCE = "at_once"
    DAILY = "daily"
    WEEKLY = "weekly"


class LeastPriority(StrEnum):
    """The least pressing kind of message a person wants from an area."""

    URGENT = "urgent"  # alerts alone
    PRIORITY = "priority"  # and what the team works on: updates, consultations, feedback
    EVERYTHING = "everything"  # and news


class Subscription(Base):
    """A person's wish for one topic of one area. Rows are ended, not deleted."""

    __tablename__ = "subscriptions"
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    subscriber_id: Mapped[UUID] = mapped_column(ForeignKey("subscribers.id", ondelete="CASCADE"))
    area_code: Mapped[str] = mapped_column(ForeignKey("areas.code"))
    topic_slug: Mapped[str] = mapped_column(ForeignKey("topics.slug"))
    least_priority: Mapped[str] = mapped_column(String(12))
    frequency: Mapped[str] = mapped_column(String(8))
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_reason: Mapped[str | None] = mapped_column(String(40))
    source: Mapped[str] = mapped_column(String(20))
    __table_args__ = (
        Index(
            "uq_subscriptions_live",
            "subscriber_id",
            "area_code",
            "topic_slug",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
            sqlite_where=text("ended_at IS NULL"),
        ),
        # Audiences are read off these two alone: the first from some areas, the second from everybody in order.
        Index(
            "ix_subscriptions_area_topic",
            "area_code",
            "topic_slug",
            "subscriber_id",
            postgresql_include=["least_priority", "frequency", "started_at", "ended_at"],
        ),
        Index(
            "ix_subscriptions_reach",
            "subscriber_id",
            "frequency",
            postgresql_include=["area_code", "topic_slug", "least_priority", "started_at", "ended_at"],
        ),
    )


class SuppressionScope(StrEnum):
    ALL = "all"
    MEDIUM = "medium"
    AREA = "area"


class Suppression(Base):
    """An address we must not write to, by its hash alone: it outlives the person."""

    __tablename__ = "suppressions"
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    medium: Mapped[str] = mapped_column(String(10))
    address_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    scope: Mapped[str] = mapped_column(String(10))
    scope_code: Mapped[str] = mapped_column(String(40), default="", server_default="")
    reason: Mapped[str] = mapped_column(String(40))
    at: Mapped[datetime]
    __table_args__ = (
        Index("uq_suppressions", "medium", "address_hash", "scope", "scope_code", unique=True),
        CheckConstraint("scope IN ('all', 'medium', 'area')", name="scope"),
    )
