"""Posts on Mastodon, each account on its own server, and what people say to our accounts there.

A post carries an Idempotency-Key made of its delivery, by which the server knows a second try for an hour
(docs.joinmastodon.org/methods/statuses). What has been in doubt for longer is looked for among the account's posts
first, by the time the ledger tells, so that a restart forgets none.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from yarl import URL

from channels import graphemes, http_links, weighted
from channels.addresses import Network
from channels.base import (
    Accepted,
    Capabilities,
    Failed,
    Idempotency,
    Incoming,
    Medium,
    Outcome,
    Outgoing,
    Refusal,
    Refused,
    Variable,
)
from channels.errors import NotConfigured
from channels.http import Session, json_of, not_asked
from channels.mailtext import plain_of
from channels.posts import (
    CLOCKS_APART,
    FIRST_POLL,
    Account,
    Away,
    Listens,
    Size,
    comparable,
    not_found,
    read_accounts,
    without_names,
)

# The server's status → what it means for us. Others below 500 are refusals of the words (422: too long, empty).
REFUSALS = {
    401: Refusal.NOT_ALLOWED,  # the token
    403: Refusal.NOT_ALLOWED,  # what the token may do, or an account that is suspended
    404: Refusal.NOT_ALLOWED,  # no such server
    410: Refusal.NOT_ALLOWED,
}
MOST_CHARACTERS = 500  # where a server says nothing else
LINK_LENGTH = 23  # whatever its length
_FAR_NAME = re.compile(r"(?<![=/\w])(@[a-z0-9_][a-z0-9_.-]{0,63})@[\w.-]{1,253}\w", re.IGNORECASE)
LOOK_BACK_POSTS = 40
HEARD_A_PAGE, MOST_PAGES = 40, 5
KEYS_ARE_KEPT = timedelta(minutes=50)  # the server says an hour


class SocialMastodon(Listens):
    """Posts as the accounts whose tokens it has, at the server each account's name ends with."""

    name = "social_mastodon"
    network = Network.MASTODON
    capabilities = Capabilities(
        media=frozenset({Medium.SOCIAL}),
        replies=True,
        receipts=False,
        html=False,
        max_text=MOST_CHARACTERS,
        idempotency=Idempotency.KEY,
        slot_rows=1,
        timeout_seconds=15,
        keys_kept_seconds=KEYS_ARE_KEPT.total_seconds(),
    )
    variables = (
        Variable(
            name="NOTIFIER_MASTODON_ACCOUNTS",
            meaning="Accounts with their access tokens: @southmere@police.example=TOKEN",
            secret=True,
            required=True,
        ),
        Variable(
            name="NOTIFIER_MASTODON_CHARACTERS",
            meaning="Longest post that the servers of these accounts take",
            default=str(MOST_CHARACTERS),
        ),
        Variable(
            name="NOTIFIER_MASTODON_API_URL",
            meaning="One server for all accounts, where it is not the one their names end with; for a drill",
        ),
    )

    def __init__(
        self,
        accounts: Mapping[str, str],
        *,
        api_url: str = "",
        most_characters: int = MOST_CHARACTERS,
        timeout_seconds: float = 15,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(accounts)
        self._most, self._now = most_characters, now
        origins = {name: api_url or f"https://{name.rpartition('@')[2]}" for name in accounts}
        sessions = {
            origin: Session(origin, total_seconds=timeout_seconds, connect_seconds=timeout_seconds / 2)
            for origin in set(origins.values())
        }
        self._sessions = {name: sessions[origin] for name, origin in origins.items()}
        self._ids: dict[str, str] = {}

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        listed = env.get("NOTIFIER_MASTODON_ACCOUNTS", "").strip()
        if not listed:
            raise NotConfigured(cls.name, "NOTIFIER_MASTODON_ACCOUNTS")
        most = env.get("NOTIFIER_MASTODON_CHARACTERS") or str(MOST_CHARACTERS)
        if not re.fullmatch(r"[1-9]\d{1,5}", most):
            raise NotConfigured(cls.name, "NOTIFIER_MASTODON_CHARACTERS", "is not a number of characters")
        return cls(
            read_accounts(cls.name, "NOTIFIER_MASTODON_ACCOUNTS", listed, cls.network),
            api_url=env.get("NOTIFIER_MASTODON_API_URL", ""),
            most_characters=int(most),
        )

    async def close(self) -> None:
        for session in set(self._sessions.values()):
            await session.close()

    def size(self, text: str) -> Size:
        """Characters as a reader sees them; a link 23, or its letters where no server would make it one.

        Of a person on another server the name alone counts, without the server.
        """
        links = http_links.links(text)
        spans = [LINK_LENGTH if weighted.links(link) else max(len(link), LINK_LENGTH) for link in links]
        words = _FAR_NAME.sub(r"\1", http_links.without(text))
        return Size(length=graphemes.count(words) + sum(spans), limit=self._most)

    async def post(self, account: Account, words: str, message: Outgoing) -> Outcome:
        doubt = message.doubt
        if doubt and self._now() - doubt.since > KEYS_ARE_KEPT:
            found = await self.look_up(message, since=doubt.since, claimed=doubt.claimed)
            if not isinstance(found, Failed):
                return found
        body = {"status": words, "visibility": "public", "language": message.prepared.language}
        headers = {**_signed(account), "Idempotency-Key": message.delivery}
        async with self._sessions[account.name].request(
            "POST", "/api/v1/statuses", json=body, headers=headers
        ) as response:
            if response.status == 200:
                return Accepted(provider_id=str((await json_of(response))["id"]))
            return self.turned_away(response.status, REFUSALS)

    async def look_up(
        self, message: Outgoing, *, since: datetime | None = None, claimed: Collection[str] = ()
    ) -> Outcome:
        """The account's latest posts, compared without links."""
        words, account = self.words_of(message), self.account_of(message)
        if isinstance(words, Refused):
            return words
        if isinstance(account, Refused):
            return account
        try:
            me = await self._id_of(account)
            query = {"limit": str(LOOK_BACK_POSTS), "exclude_reblogs": "true"}
            latest = await self._get(account, f"/api/v1/accounts/{me}/statuses", query)
            posts = [
                (str(post["id"]), _at(post), comparable(plain_of(str(post["content"])))) for post in latest
            ]
        except self.trouble as error:
            return not_asked(error)
        wanted = comparable(words)
        earliest = since - CLOCKS_APART if since else None
        for name, at, text in posts:
            if text == wanted and (earliest is None or at >= earliest) and name not in claimed:
                return Accepted(provider_id=name)
        return not_found(self.network)

    async def heard(self, account: Account, mark: str) -> tuple[Sequence[Incoming], str]:
        """Mentions, private ones too, page by page upwards from the one read last."""
        earliest = self._now() - FIRST_POLL
        found: list[Incoming] = []
        for _ in range(MOST_PAGES):
            query = {"types[]": "mention", "limit": str(HEARD_A_PAGE)}
            page = await self._get(
                account, "/api/v1/notifications", query | ({"min_id": mark} if mark else {})
            )
            told = sorted(page, key=lambda each: int(each["id"]))
            said = [each for each in told if each.get("type") == "mention" and each.get("status")]
            found += [_incoming(each, account) for each in said if mark or _at(each) >= earliest]
            is_first, mark = not mark, str(told[-1]["id"]) if told else mark
            if is_first or len(told) < HEARD_A_PAGE:
                break
        return found, mark

    # --- Helpers --------------------------------------------------------------------------

    async def _id_of(self, account: Account) -> str:
        """The server's own name for the account, asked once."""
        if account.name not in self._ids:
            me = await self._get(account, "/api/v1/accounts/verify_credentials", {})
            self._ids[account.name] = str(int(me["id"]))
        return self._ids[account.name]

    async def _get(self, account: Account, path: str, query: Mapping[str, str]) -> Any:
        url = URL(f"https://server{path}").with_query(query)
        async with self._sessions[account.name].request("GET", url, headers=_signed(account)) as response:
            if response.status != 200:
                raise Away(f"status {response.status}")
            return await json_of(response)


def _signed(account: Account) -> dict[str, str]:
    return {"Authorization": f"Bearer {account.secret}"}


def _incoming(told: Mapping[str, Any], account: Account) -> Incoming:
    """A mention. Somebody of our own server is named there without it."""
    said, who = told["status"], str(told["account"]["acct"])
    host = account.name.rpartition("@")[2]
    text = without_names(plain_of(str(said["content"])))
    warning = str(said.get("spoiler_text") or "").strip()
    return Incoming(
        event_id=str(said["id"]),
        medium=Medium.SOCIAL,
        sender=f"@{who if '@' in who else f'{who}@{host}'}".lower(),
        recipient=account.name,
        text=f"{warning}\n\n{text}" if warning else text,
        at=_at(said),
        raw=json.dumps(told, ensure_ascii=False).encode(),
        in_reply_to=str(said.get("in_reply_to_id") or ""),
    )


def _at(row: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(str(row["created_at"]))
