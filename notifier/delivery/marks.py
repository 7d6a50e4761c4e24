"""How our mail is marked for mail programs and providers, by headers that people do not read.

Pure; called by `content`. What is the same in every copy of a message is compiled with its words, so it costs
nothing per recipient. Nothing here tells one recipient from another.
"""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from notifier.models import NoticeKind

Marks = tuple[tuple[str, str], ...]

LIST_DIGEST, CAMPAIGN_DIGEST = "digest", "digest"
SENDER_LENGTH = 15  # of the last part of Feedback-ID, at least 5
_REPLIES = frozenset({NoticeKind.ACKNOWLEDGEMENT, NoticeKind.QUESTION, NoticeKind.HELP, NoticeKind.RECEIPT})


def of_message(message: UUID, kind: str, *, team_name: str, team_slug: str, domain: str) -> Marks:
    """Of a team's message to many: its list is the team, its campaign the message (the id's random end)."""
    return _to_many(team_name, team_slug, (message.hex[-12:], team_slug, kind), domain)


def of_digest(service_name: str, *, domain: str) -> Marks:
    """Of what gathers several teams' messages: one list and one campaign for all, as each person's is made alone."""
    return _to_many(service_name, LIST_DIGEST, (CAMPAIGN_DIGEST, LIST_DIGEST, LIST_DIGEST), domain)


def _to_many(name: str, label: str, campaign: tuple[str, str, str], domain: str) -> Marks:
    """List-Id: RFC 2919, the same for ever. Feedback-ID: campaign:customer:kind:sender, by which Gmail counts
    complaints (support.google.com/mail/answer/6254652). Precedence: no standard, and obeyed all the same by what answers
    for people who are away. List-Unsubscribe-Post: RFC 8058; the link beside it is each person's own.
    """
    shown = " ".join(re.sub(r"[<>]", " ", name).split())
    sender = (
        (_word(domain) + "-mail")[:SENDER_LENGTH] if len(_word(domain)) < 5 else _word(domain)[:SENDER_LENGTH]
    )
    return (
        ("List-Id", f"{shown} <{label}.{domain}>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("Feedback-ID", ":".join([*(_word(part) for part in campaign), sender])),
        ("Precedence", "bulk"),
    )


def one_click(link: str) -> dict[str, str]:
    """What differs in mail to many: where one post ends it (RFC 8058)."""
    return {"List-Unsubscribe": f"<{link}>"}


def to_one(kind: NoticeKind | None, variables: Mapping[str, Any]) -> dict[str, str]:
    """How mail to one is marked: as a robot's (RFC 3834), or as an answer in its thread (RFC 5322 3.6.4)."""
    if kind is NoticeKind.ANSWER:
        before = str(variables.get("in_reply_to") or "")
        references = str(variables.get("references") or before)
        return {"In-Reply-To": before, "References": references} if before else {}
    return {"Auto-Submitted": "auto-replied" if kind in _REPLIES else "auto-generated"}


def _word(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]+", "-", text).strip("-")[:60]
