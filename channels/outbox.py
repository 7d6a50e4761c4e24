"""The default channel: carries every medium into files of one folder, so that all can be tried with no provider.

The processes of a service share the folder; the demo's outbox page reads it. Clear text: not for real residents.
"""

import asyncio
import json
import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from channels import addresses, estimates
from channels.base import (
    Accepted,
    Capabilities,
    Channel,
    Content,
    Estimate,
    Failed,
    Idempotency,
    Medium,
    Outcome,
    Outgoing,
    Prepared,
    Refusal,
    Refused,
    Unknown,
    filled,
)
from channels.words import Words, compile_words, read_words

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One message in the box, as its reader would see it."""

    attempt: str
    delivery: str
    medium: Medium
    to: str
    at: datetime
    language: str
    words: Words
    sender: str = ""
    reply_to: str = ""
    return_path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    urgent: bool = False


class Outbox(Channel):
    """Keeps each message as one JSON file named by its attempt, in the folder NOTIFIER_OUTBOX_DIR."""

    name = "outbox"
    capabilities = Capabilities(
        media=frozenset(Medium),
        replies=True,
        receipts=False,
        html=True,
        max_text=None,
        idempotency=Idempotency.NONE,
        slot_rows=5,
    )

    def __init__(self, folder: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.folder = folder
        self._now = now

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        return cls(Path(env.get("NOTIFIER_OUTBOX_DIR") or "outbox"))

    def normalise(self, address: str, medium: Medium) -> str:
        return addresses.normalise(address, medium)

    def estimate(self, content: Content) -> Estimate:
        return estimates.estimate(content)

    def prepare(self, content: Content) -> Prepared:
        estimates.require_room(content)
        return compile_words(content)

    async def send(self, message: Outgoing) -> Outcome:
        if not _NAME.fullmatch(message.attempt):
            return Refused(why=Refusal.CONTENT, reason="the attempt's token cannot name a file")
        copy = filled(message)
        if isinstance(copy, Refused):
            return copy
        try:
            await asyncio.to_thread(write_one, self.folder, self._kept(message, read_words(copy)))
        except OSError as error:
            return Failed(reason=f"cannot write: {error.strerror}", code=str(error.errno))
        return Accepted(provider_id=message.attempt)

    async def look_up(
        self, message: Outgoing, *, since: datetime | None = None, claimed: Collection[str] = ()
    ) -> Outcome:
        try:
            found = await asyncio.to_thread(read_one, self.folder, message.attempt)
        except (OSError, ValueError, TypeError, KeyError):
            return Unknown(reason="the file cannot be read")
        return Accepted(provider_id=found.attempt) if found else Failed(reason="there is no such file")

    def _kept(self, message: Outgoing, words: Words) -> Kept:
        return Kept(
            attempt=message.attempt,
            delivery=message.delivery,
            medium=message.prepared.medium,
            to=message.to,
            at=self._now(),
            language=message.prepared.language,
            words=words,
            sender=message.sender,
            reply_to=message.reply_to,
            return_path=message.return_path,
            headers=dict(message.headers),
            urgent=message.urgent,
        )


def write_one(folder: Path, kept: Kept) -> None:
    """Write beside and rename: a reader sees all of it or nothing. A second writing replaces the first."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = folder / f".{kept.attempt}.{os.getpid()}"
    row = asdict(kept) | {"at": kept.at.isoformat()}
    beside.write_text(json.dumps(row, ensure_ascii=False, indent=1), encoding="utf-8")
    beside.replace(folder / f"{kept.attempt}.json")


def read_one(folder: Path, attempt: str) -> Kept | None:
    """The message of one attempt, or none."""
    if not _NAME.fullmatch(attempt):
        return None
    try:
        return _read(folder / f"{attempt}.json")
    except FileNotFoundError:
        return None


def read_box(folder: Path, limit: int = 100) -> list[Kept]:
    """The newest messages first, at most `limit`; a box that is not there yet is empty."""
    try:
        with os.scandir(folder) as entries:
            found = [(entry.stat().st_mtime_ns, entry.path) for entry in entries if _is_kept(entry.name)]
    except FileNotFoundError:
        return []
    return [_read(Path(path)) for _, path in sorted(found, reverse=True)[:limit]]


def _is_kept(name: str) -> bool:
    return name.endswith(".json") and not name.startswith(".")


def _read(path: Path) -> Kept:
    row = json.loads(path.read_text(encoding="utf-8"))
    row |= {
        "at": datetime.fromisoformat(row["at"]),
        "medium": Medium(row["medium"]),
        "words": Words(**row["words"]),
    }
    return Kept(**row)
