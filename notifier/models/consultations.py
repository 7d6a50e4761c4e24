"""Consultations, and the priorities a ward has agreed, each with what was asked, said and done."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from subscribers.models import Base


class ConsultationState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    DECIDED = "decided"
    ENDED = "ended"  # those who answered have been told


class Consultation(Base):
    __tablename__ = "consultations"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    area_code: Mapped[str] = mapped_column(ForeignKey("areas.code"), index=True)
    title: Mapped[str]
    purpose: Mapped[str]
    decision_to_inform: Mapped[str]
    decision_maker: Mapped[str]
    cannot_change: Mapped[str]
    opens: Mapped[datetime]
    closes: Mapped[datetime]
    decide_by: Mapped[datetime | None]
    feedback_by: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(10))
    asked: Mapped[str | None]
    you_said: Mapped[str | None]
    we_did: Mapped[str | None]
    __table_args__ = (Index("ix_consultations_team_state", "team_id", "state"),)


class WardPriority(Base):
    __tablename__ = "ward_priorities"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    area_code: Mapped[str] = mapped_column(ForeignKey("areas.code"), index=True)
    title: Mapped[str]
    state: Mapped[str] = mapped_column(String(10))
    agreed_on: Mapped[datetime]
    asked: Mapped[str | None]
    you_said: Mapped[str | None]
    we_did: Mapped[str | None]
