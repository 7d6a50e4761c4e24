"""What a team publishes: the message, its words in each language, and the areas it is for."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, SmallInteger, String, text
from sqlalchemy.orm import Mapped, mapped_column

from subscribers.models import Base


class Kind(StrEnum):
    CONSULTATION = "consultation"
    PRIORITY_UPDATE = "priority_update"
    FEEDBACK = "feedback"
    ALERT = "alert"
    NEWS = "news"
    CORRECTION = "correction"


class Canary(StrEnum):
    """The first deliveries of a large message go ahead alone."""

    WAITING = "waiting"
    PASSED = "passed"
    FAILED = "failed"


class MessageState(StrEnum):
    """draft → approved → planning → scheduled → sending ⇄ paused → done | cancelled."""

    DRAFT = "draft"
    APPROVED = "approved"
    PLANNING = "planning"
    SCHEDULED = "scheduled"
    SENDING = "sending"
    PAUSED = "paused"
    DONE = "done"
    CANCELLED = "cancelled"


class Message(Base):
    """One message of one team.

    criteria: {"areas": [...], "topics": [...], "media": [...]} and what `broadcast.narrow` adds; frozen with
    the text at `frozen_at`. audience_count: deliveries planned, known with the last page. planned_to: the last
    person planned. plan_cursor: the last contact point, of the release before, which may plan beside us.
    form_key: the author's own key for this draft, so that a double click makes one message.
    expires_at: after it the words are of no use, and nothing starts any more.
    corrects_id: goes to exactly those who got that message. doubles_id: approved although that one had the same words.
    canary: of a large message, whether its first deliveries are on their way, went well or did not.
    canary_seen: how those ended so far, oldest first, `.` for good and `x` for a fault.
    paused_reason: in words, for its author. override_reason: why quiet hours and caps do not hold for it.
    """

    __tablename__ = "messages"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    author_id: Mapped[UUID | None] = mapped_column(ForeignKey("officers.id"))
    form_key: Mapped[str] = mapped_column(String(255))
    kind: Mapped[str] = mapped_column(String(20))
    lane: Mapped[int] = mapped_column(SmallInteger)
    state: Mapped[str] = mapped_column(String(12))
    send_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    reply_by: Mapped[datetime | None]
    consultation_id: Mapped[UUID | None] = mapped_column(ForeignKey("consultations.id"))
    criteria: Mapped[dict[str, Any]]
    frozen_at: Mapped[datetime | None]
    audience_count: Mapped[int | None]
    plan_cursor: Mapped[UUID | None]
    planned_to: Mapped[UUID | None]
    approved_by: Mapped[UUID | None] = mapped_column(ForeignKey("officers.id"))
    second_approver: Mapped[UUID | None] = mapped_column(ForeignKey("officers.id"))
    created_at: Mapped[datetime]
    published_at: Mapped[datetime | None]
    corrects_id: Mapped[UUID | None]
    doubles_id: Mapped[UUID | None]
    canary: Mapped[str | None] = mapped_column(String(8))
    canary_seen: Mapped[str] = mapped_column(String(25), default="", server_default="")
    paused_reason: Mapped[str | None]
    override_reason: Mapped[str | None]
    __table_args__ = (
        Index("uq_messages_author_form_key", "team_id", "author_id", "form_key", unique=True),
        Index("ix_messages_team_created", "team_id", "created_at"),
        Index(
            "ix_messages_live",
            "state",
            postgresql_where=text("state NOT IN ('draft', 'done', 'cancelled')"),
            sqlite_where=text("state NOT IN ('draft', 'done', 'cancelled')"),
        ),
    )


class MessageText(Base):
    """The words of a message in one language. English is always there."""

    __tablename__ = "message_texts"
    message_id: Mapped[UUID] = mapped_column(ForeignKey("messages.id"), primary_key=True)
    language: Mapped[str] = mapped_column(String(10), primary_key=True)
    title: Mapped[str]
    body: Mapped[str]
    content_hash: Mapped[bytes] = mapped_column(LargeBinary(32))


class MessageArea(Base):
    """The areas of a message; at approval with everything inside them, so that a ward's page finds it."""

    __tablename__ = "message_areas"
    message_id: Mapped[UUID] = mapped_column(ForeignKey("messages.id"), primary_key=True)
    area_code: Mapped[str] = mapped_column(ForeignKey("areas.code"), primary_key=True)
    __table_args__ = (Index("ix_message_areas_area_code", "area_code"),)


class MessageTopic(Base):
    """The topics of a message. None at all: whoever subscribes to its areas, whatever the topic."""

    __tablename__ = "message_topics"
    message_id: Mapped[UUID] = mapped_column(ForeignKey("messages.id"), primary_key=True)
    topic_slug: Mapped[str] = mapped_column(ForeignKey("topics.slug"), primary_key=True)
