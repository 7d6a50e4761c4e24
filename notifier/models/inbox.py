"""What comes in: the raw message, the conversation it belongs to, and why it went there."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Float, ForeignKey, Index, Integer, LargeBinary, SmallInteger, String, text
from sqlalchemy.orm import Mapped, mapped_column

from subscribers.models import Base, BigId


class IncomingState(StrEnum):
    STORED = "stored"
    ROUTED = "routed"
    FILED = "filed"
    QUARANTINED = "quarantined"


class IncomingKind(StrEnum):
    """What triage took it for."""

    REPLY = "reply"
    STOP = "stop"
    START = "start"
    HELP = "help"
    CONFIRM = "confirm"
    CHOICE = "choice"  # "1" to our question which ward
    AUTO_REPLY = "auto_reply"
    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    UNREADABLE = "unreadable"


class IncomingRow(Base):
    """A message from outside, stored raw and committed before anything else is done with it.

    channel: where it came in (`email` for the mail listener and the raw hook). text_sealed: the words,
    where the channel gave them; mail is read from `raw_sealed`. kind: what triage took it for.
    in_reply_to: the provider's id of the post of ours it answers.
    """

    __tablename__ = "incoming"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(String(40))
    event_id: Mapped[str] = mapped_column(String(200))
    medium: Mapped[str] = mapped_column(String(10))
    sender_sealed: Mapped[bytes]
    sender_hash: Mapped[bytes] = mapped_column(LargeBinary(32), index=True)
    recipient: Mapped[str] = mapped_column(String(320))
    text_sealed: Mapped[bytes]
    raw_sealed: Mapped[bytes]
    received_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(12))
    kind: Mapped[str | None] = mapped_column(String(12))
    reason: Mapped[str | None] = mapped_column(String(200))
    tries: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    contact_point_id: Mapped[UUID | None]
    in_reply_to: Mapped[str | None] = mapped_column(String(200))
    __table_args__ = (
        Index("uq_incoming_channel_event_id", "channel", "event_id", unique=True),
        Index(
            "ix_incoming_stored",
            "received_at",
            postgresql_where=text("state = 'stored'"),
            sqlite_where=text("state = 'stored'"),
        ),
    )


class MediaState(StrEnum):
    WANTED = "wanted"
    KEPT = "kept"
    REFUSED = "refused"


class IncomingMedia(Base):
    """A picture that came with a text, fetched from the provider after the text was stored.

    url_sealed: where the provider keeps it. due_at: not fetched before; while it is fetched, until when that process
    has it. reason: why it was not kept.
    """

    __tablename__ = "incoming_media"
    incoming_id: Mapped[UUID] = mapped_column(ForeignKey("incoming.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    url_sealed: Mapped[bytes]
    state: Mapped[str] = mapped_column(String(10))
    due_at: Mapped[datetime]
    content_type: Mapped[str | None] = mapped_column(String(100))
    octets: Mapped[int | None] = mapped_column(Integer)
    media_sealed: Mapped[bytes | None]
    tries: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    reason: Mapped[str | None] = mapped_column(String(200))
    fetched_at: Mapped[datetime | None]
    __table_args__ = (
        Index(
            "ix_incoming_media_wanted",
            "due_at",
            postgresql_where=text("state = 'wanted'"),
            sqlite_where=text("state = 'wanted'"),
        ),
    )


class ConversationState(StrEnum):
    NEW = "new"
    OPEN = "open"
    WAITING = "waiting"  # for the resident
    RESOLVED = "resolved"


class Conversation(Base):
    """The thread of incoming and answers between one contact point and one team.

    version: raised with every entry, so that an answer written over an unseen reply is noticed.
    taken_by: the officer who looks after it.
    """

    __tablename__ = "conversations"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(String(12), unique=True)
    contact_point_id: Mapped[UUID] = mapped_column(ForeignKey("contact_points.id"))
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    subscriber_id: Mapped[UUID | None]
    message_id: Mapped[UUID | None] = mapped_column(ForeignKey("messages.id"))
    subject: Mapped[str | None]
    state: Mapped[str] = mapped_column(String(10))
    taken_by: Mapped[UUID | None] = mapped_column(ForeignKey("officers.id"))
    urgent: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    version: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    opened_at: Mapped[datetime]
    last_entry_at: Mapped[datetime]
    __table_args__ = (
        Index(
            "uq_conversations_live",
            "contact_point_id",
            "team_id",
            unique=True,
            postgresql_where=text("state <> 'resolved'"),
            sqlite_where=text("state <> 'resolved'"),
        ),
        Index("ix_conversations_queue", "team_id", "state", "last_entry_at"),
    )


class Direction(StrEnum):
    IN = "in"
    OUT = "out"


class ConversationEntry(Base):
    """One message in or one answer out. verified: did it come from the address we wrote to?"""

    __tablename__ = "conversation_entries"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    conversation_id: Mapped[UUID] = mapped_column(ForeignKey("conversations.id"))
    direction: Mapped[str] = mapped_column(String(3))
    medium: Mapped[str] = mapped_column(String(10))
    body_sealed: Mapped[bytes]
    trimmed_sealed: Mapped[bytes | None]
    incoming_id: Mapped[UUID | None] = mapped_column(unique=True)
    notice_id: Mapped[UUID | None] = mapped_column(unique=True)
    officer_id: Mapped[UUID | None] = mapped_column(ForeignKey("officers.id"))
    verified: Mapped[bool] = mapped_column(default=False)
    at: Mapped[datetime]
    __table_args__ = (Index("ix_conversation_entries_at", "conversation_id", "at"),)


class Note(Base):
    """What officers tell one another. A table of its own with no way to a channel."""

    __tablename__ = "notes"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    conversation_id: Mapped[UUID] = mapped_column(ForeignKey("conversations.id"), index=True)
    officer_id: Mapped[UUID] = mapped_column(ForeignKey("officers.id"))
    body_sealed: Mapped[bytes]
    at: Mapped[datetime]


class RoutingDecision(Base):
    """Which resolver sent an incoming message to which team, how sure it was, and why in words."""

    __tablename__ = "routing_decisions"
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    incoming_id: Mapped[UUID] = mapped_column(index=True)
    resolver: Mapped[str] = mapped_column(String(40))
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    confidence: Mapped[float] = mapped_column(Float)
    reason: Mapped[str] = mapped_column(String(200))
    corrected_to: Mapped[UUID | None] = mapped_column(ForeignKey("teams.id"))
    at: Mapped[datetime]
