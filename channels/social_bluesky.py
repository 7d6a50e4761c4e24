"""Posts on Bluesky, and what people say to our accounts there.

We choose a post's record key, from its delivery. A second try meets the record that stands and creates nothing:
`createRecord` never overwrites, as `putRecord` would. A server answers it with an error that may mean anything
(github.com/bluesky-social/atproto/issues/3718), so the record itself is asked for.
"""

import asyncio
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Self

from yarl import URL

from channels import graphemes, http_links
from channels.addresses import Network
from channels.base import (
    Accepted,
    Capabilities,
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
from channels.http import NoAnswer, Session, json_of, not_asked, outcome_of
from channels.posts import (
    FIRST_POLL,
    Account,
    Away,
    Listens,
    Size,
    not_found,
    read_accounts,
    without_names,
)

API_URL = "https://bsky.social"
POSTS = "app.bsky.feed.post"
MOST_CHARACTERS, OCTETS_A_CHARACTER = 300, 10  # the lexicon's maxGraphemes 300 and maxLength 3,000 octets
HEARD_A_PAGE, MOST_PAGES = 100, 5
EXPIRED = ("ExpiredToken", "InvalidToken")

# The server's error → what it means for us. Others below 500 are refusals of the words.
REFUSALS = {
    "AccountTakedown": Refusal.NOT_ALLOWED,
    "AccountDeactivated": Refusal.NOT_ALLOWED,
    "AuthFactorTokenRequired": Refusal.NOT_ALLOWED,  # a password where an app password is wanted
    "AuthMissing": Refusal.NOT_ALLOWED,
    "AuthenticationRequired": Refusal.NOT_ALLOWED,
    "ExpiredToken": Refusal.NOT_ALLOWED,
    "Forbidden": Refusal.NOT_ALLOWED,
    "InvalidToken": Refusal.NOT_ALLOWED,
    "RepoNotFound": Refusal.NOT_ALLOWED,
}

_LETTERS = "234567abcdefghijklmnopqrstuvwxyz"
_KEYS_BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
_KEYS_SPAN = timedelta(days=365) // timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True)
class _Login:
    """An open session of an account."""

    did: str
    access: str
    refresh: str


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """What a server said: status below 500, body as JSON, and the name of the error if it is one."""

    status: int
    body: Mapping[str, Any]

    @property
    def error(self) -> str:
        return str(self.body.get("error", "")) if self.status != 200 else ""


class _NotLetIn(Away):
    """No session was opened: what the server said."""

    def __init__(self, answer: _Answer) -> None:
        self.answer = answer
        super().__init__(answer.error)


class SocialBluesky(Listens):
    """Posts as the accounts whose app passwords it has."""

    name = "social_bluesky"
    network = Network.BLUESKY
    capabilities = Capabilities(
        media=frozenset({Medium.SOCIAL}),
        replies=True,
        receipts=False,
        html=False,
        max_text=MOST_CHARACTERS,
        idempotency=Idempotency.CLIENT_ID,
        slot_rows=1,
        timeout_seconds=15,
    )
    variables = (
        Variable(
            name="NOTIFIER_BLUESKY_ACCOUNTS",
            meaning="Accounts with their app passwords: southmere.example=xxxx-xxxx-xxxx-xxxx",
            secret=True,
            required=True,
        ),
        Variable(
            name="NOTIFIER_BLUESKY_API_URL",
            meaning="The server these accounts are on, where it is not Bluesky's own; for a drill",
            default=API_URL,
        ),
    )

    def __init__(
        self,
        accounts: Mapping[str, str],
        *,
        api_url: str = API_URL,
        timeout_seconds: float = 15,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(accounts)
        self._session = Session(api_url, total_seconds=timeout_seconds, connect_seconds=timeout_seconds / 2)
        self._now = now
        self._logins: dict[str, _Login] = {}
        self._opening = {name: asyncio.Lock() for name in accounts}

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        listed = env.get("NOTIFIER_BLUESKY_ACCOUNTS", "").strip()
        if not listed:
            raise NotConfigured(cls.name, "NOTIFIER_BLUESKY_ACCOUNTS")
        return cls(
            read_accounts(cls.name, "NOTIFIER_BLUESKY_ACCOUNTS", listed, cls.network),
            api_url=env.get("NOTIFIER_BLUESKY_API_URL") or API_URL,
        )

    async def close(self) -> None:
        await self._session.close()

    def size(self, text: str) -> Size:
        """Characters as a reader sees them; more where they take many octets each, for those are limited too."""
        octets = -(-len(text.encode("utf-8", "replace")) // OCTETS_A_CHARACTER)
        return Size(length=max(graphemes.count(text), octets), limit=MOST_CHARACTERS)

    async def post(self, account: Account, words: str, message: Outgoing) -> Outcome:
        record = {
            "$type": POSTS,
            "text": words,
            "createdAt": self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "langs": [message.prepared.language],
            "facets": facets(words),
        }
        key = record_key(message.delivery)
        try:
            answer = await self._asked(
                account,
                "POST",
                "com.atproto.repo.createRecord",
                body={"collection": POSTS, "rkey": key, "record": record},
            )
        except _NotLetIn as away:
            return self._turned_away(away.answer)
        except NoAnswer as trouble:
            return await self._standing(account, key) or outcome_of(trouble)
        if answer.status == 200:
            return Accepted(provider_id=str(answer.body["uri"]))
        is_double = "exist" in f"{answer.error} {answer.body.get('message', '')}".lower()
        standing = await self._standing(account, key) if is_double else None
        return standing or self._turned_away(answer)

    async def look_up(
        self, message: Outgoing, *, since: datetime | None = None, claimed: Collection[str] = ()
    ) -> Outcome:
        """The record itself: nobody else's has its key."""
        account = self.account_of(message)
        if isinstance(account, Refused):
            return account
        try:
            uri = await self._record(account, record_key(message.delivery))
        except self.trouble as error:
            return not_asked(error)
        return Accepted(provider_id=uri) if uri else not_found(self.network)

    async def heard(self, account: Account, mark: str) -> tuple[Sequence[Incoming], str]:
        """Mentions and answers, back to those of `mark`: the moment of the newest, and which they were."""
        moment, *seen = mark.split() if mark else ((self._now() - FIRST_POLL).isoformat(),)
        since, found, page = datetime.fromisoformat(moment), list[tuple[datetime, Incoming]](), ""
        for _ in range(MOST_PAGES):
            query = {"limit": str(HEARD_A_PAGE), "reasons": ["mention", "reply"]}
            told = await self._answered(
                account, "app.bsky.notification.listNotifications", query | ({"cursor": page} if page else {})
            )
            rows = [(_moment(each["indexedAt"]), each) for each in told["notifications"]]
            found += [
                (at, _incoming(each, account))
                for at, each in rows
                if at >= since and each["uri"] not in seen and each["reason"] in ("mention", "reply")
            ]
            page = str(told.get("cursor") or "")
            if not page or not rows or rows[-1][0] < since:
                break
        if not found:
            return (), mark
        found.reverse()
        newest = max(at for at, _ in found)
        same = [event.event_id for at, event in found if at == newest]
        kept = seen if newest == since else []
        return [event for _, event in found], " ".join([newest.isoformat(), *kept, *same])

    # --- Helpers --------------------------------------------------------------------------

    async def _standing(self, account: Account, key: str) -> Accepted | None:
        """The record an earlier try made, if that can be seen."""
        try:
            uri = await self._record(account, key)
        except self.trouble:
            return None
        return Accepted(provider_id=uri) if uri else None

    async def _record(self, account: Account, key: str) -> str:
        """The address of the record with that key, or nothing where there is none. Raises what asking may raise."""
        login = await self._login(account)
        query = {"repo": login.did, "collection": POSTS, "rkey": key}
        answer = await self._asked(account, "GET", "com.atproto.repo.getRecord", query=query)
        if answer.status == 200:
            return str(answer.body["uri"])
        if answer.error == "RecordNotFound" or "not locate record" in str(answer.body.get("message", "")):
            return ""
        raise Away(answer.error)

    async def _answered(self, account: Account, method: str, query: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = await self._asked(account, "GET", method, query=query)
        if answer.status != 200:
            raise Away(answer.error)
        return answer.body

    async def _asked(
        self,
        account: Account,
        verb: str,
        method: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> _Answer:
        """One call as the account; once more with a new session where the old one has run out."""
        login = await self._login(account)
        answer = await self._call(verb, method, login.access, query=query, body=_of(login, body))
        if answer.error not in EXPIRED:
            return answer
        login = await self._login(account, instead_of=login)
        return await self._call(verb, method, login.access, query=query, body=_of(login, body))

    async def _login(self, account: Account, *, instead_of: _Login | None = None) -> _Login:
        """The account's session: kept, renewed, or opened with the app password. Few may be opened a day."""
        async with self._opening[account.name]:
            kept = self._logins.get(account.name)
            if kept is not None and kept is not instead_of:
                return kept
            answer = None
            if kept is not None:
                answer = await self._call("POST", "com.atproto.server.refreshSession", kept.refresh)
            if answer is None or answer.status != 200:
                secret = {"identifier": account.name, "password": account.secret}
                answer = await self._call("POST", "com.atproto.server.createSession", "", body=secret)
            if answer.status != 200:
                raise _NotLetIn(answer)
            made = _Login(
                did=str(answer.body["did"]),
                access=str(answer.body["accessJwt"]),
                refresh=str(answer.body["refreshJwt"]),
            )
            self._logins[account.name] = made
            return made

    async def _call(
        self,
        verb: str,
        method: str,
        token: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> _Answer:
        url = URL(f"https://server/xrpc/{method}").with_query(query or {})
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        options = {"json": body} if body is not None else {}
        async with self._session.request(verb, url, headers=headers, **options) as response:
            found = await json_of(response)
            return _Answer(status=response.status, body=found if isinstance(found, dict) else {})

    def _turned_away(self, answer: _Answer) -> Outcome:
        if answer.status < 300:
            return self.turned_away(answer.status, {})
        why = REFUSALS.get(
            answer.error, Refusal.NOT_ALLOWED if answer.status in (401, 403) else Refusal.CONTENT
        )
        return self.refused(why, f"Bluesky answered {answer.status}", answer.error[:40] or str(answer.status))


def record_key(delivery: str) -> str:
    """A delivery's own record key: a TID (atproto.com/specs/tid), as Bluesky wants of posts.

    A TID is a moment and a clock. Ours is drawn from the delivery's token, within a year that is over: servers
    doubt what lies in the future, and nothing is sorted by it.
    """
    drawn = int.from_bytes(sha256(delivery.encode()).digest()[:16], "big")
    micros = (_KEYS_BEGIN - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    number = (micros + (drawn >> 10) % _KEYS_SPAN) << 10 | drawn & 1023
    return "".join(_LETTERS[number >> shift & 31] for shift in range(60, -1, -5))


def facets(text: str) -> list[dict[str, Any]]:
    """Which octets of the text are links: Bluesky makes none by itself (app.bsky.richtext.facet)."""
    return [
        {
            "index": {
                "byteStart": len(text[:start].encode()),
                "byteEnd": len(text[:end].encode()),
            },
            "features": [{"$type": "app.bsky.richtext.facet#link", "uri": text[start:end]}],
        }
        for start, end in http_links.spans(text)
    ]


def _of(login: _Login, body: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return None if body is None else {"repo": login.did, **body}


def _incoming(told: Mapping[str, Any], account: Account) -> Incoming:
    """A mention or an answer. A thread is named by its first post, and that is ours where we began it."""
    record, who = told["record"], told["author"]
    handle = str(who["handle"])
    return Incoming(
        event_id=str(told["uri"]),
        medium=Medium.SOCIAL,
        sender=(str(who["did"]) if handle == "handle.invalid" else handle).lower(),
        recipient=account.name,
        text=without_names(str(record.get("text", ""))),
        at=_moment(told["indexedAt"]),
        raw=json.dumps(told, ensure_ascii=False).encode(),
        in_reply_to=str(((record.get("reply") or {}).get("root") or {}).get("uri", "")),
    )


def _moment(text: object) -> datetime:
    return datetime.fromisoformat(str(text))
