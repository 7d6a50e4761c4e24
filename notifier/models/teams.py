"""Teams, the places they cover, and the officers who work in them."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from subscribers.models import Base, BigId


class TeamKind(StrEnum):
    SNT = "snt"
    BOROUGH = "borough"
    CENTRAL = "central"


class Team(Base):
    """A Safer Neighbourhood Team or other unit. Central triage is a team of kind `central`."""

    __tablename__ = "teams"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(60), unique=True)
    name: Mapped[str]
    kind: Mapped[str] = mapped_column(String(10))


class TeamArea(Base):
    """A team covers an area from a time until another."""

    __tablename__ = "team_areas"
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"), index=True)
    area_code: Mapped[str] = mapped_column(ForeignKey("areas.code"), index=True)
    since: Mapped[datetime]
    until: Mapped[datetime | None]


class TeamUse(StrEnum):
    """What a team's own contact point is for."""

    POST = "post"  # a social account its messages appear on
    REPLY = "reply"  # the address people write to
    SENDER = "sender"  # the number its texts come from, and replies go to


class TeamContactPoint(Base):
    """A team's own account, address or number. channel: the one that carries it, where its medium has several."""

    __tablename__ = "team_contact_points"
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"), primary_key=True)
    contact_point_id: Mapped[UUID] = mapped_column(ForeignKey("contact_points.id"), primary_key=True)
    use: Mapped[str] = mapped_column(String(10))
    channel: Mapped[str | None] = mapped_column(String(40))
    __table_args__ = (Index("ix_team_contact_points_contact_point_id", "contact_point_id"),)


class Role(StrEnum):
    OFFICER = "officer"
    SERGEANT = "sergeant"
    COORDINATOR = "coordinator"
    CENTRAL = "central"
    ADMINISTRATOR = "administrator"
    AUDITOR = "auditor"


class Officer(Base):
    __tablename__ = "officers"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    email_sealed: Mapped[bytes]
    email_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    name: Mapped[str]
    password_hash: Mapped[str]
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class OfficerRole(Base):
    """A role in one team (or, without a team, everywhere), until a time."""

    __tablename__ = "officer_roles"
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    officer_id: Mapped[UUID] = mapped_column(ForeignKey("officers.id"), index=True)
    role: Mapped[str] = mapped_column(String(16))
    team_id: Mapped[UUID | None] = mapped_column(ForeignKey("teams.id"))
    until: Mapped[datetime | None]


class Session(Base):
    """A signed-in browser; the cookie's token is kept as its hash."""

    __tablename__ = "sessions"
    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    officer_id: Mapped[UUID] = mapped_column(ForeignKey("officers.id"), index=True)
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class ApiToken(Base):
    """A bearer token of one team; `scopes` separated by spaces: `read`, `write`."""

    __tablename__ = "api_tokens"
    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    officer_id: Mapped[UUID | None] = mapped_column(ForeignKey("officers.id"))
    scopes: Mapped[str] = mapped_column(String(60))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]


class IdempotencyKey(Base):
    """What an API call with a key was answered, so that its repeat is answered the same."""

    __tablename__ = "idempotency_keys"
    owner: Mapped[str] = mapped_column(String(80), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    status: Mapped[int]
    response: Mapped[str]
    at: Mapped[datetime] = mapped_column(index=True)


class AuditEvent(Base):
    """Append-only: who did what to which object, and why. Never an address or a text."""

    __tablename__ = "audit_events"
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(60))
    action: Mapped[str] = mapped_column(String(60))
    object_kind: Mapped[str] = mapped_column(String(40))
    object_id: Mapped[str] = mapped_column(String(60))
    reason: Mapped[str | None]
    details: Mapped[dict[str, Any] | None]
    __table_args__ = (Index("ix_audit_events_object", "object_kind", "object_id"),)
