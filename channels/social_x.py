"""Posts on X, through tweepy over our own session, and what people say to our accounts there.

X refuses a post with the words of a recent one, which makes a second try safe: what is in doubt is looked for on
the account's timeline, and tried again if it is not there. X takes money for each post, more for one with a link.
"""

import json
import logging
import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

import tweepy
from tweepy.asynchronous import AsyncClient

from channels import weighted
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
    Unknown,
    Variable,
)
from channels.errors import NotConfigured
from channels.http import TROUBLE, Session, not_asked
from channels.posts import (
    CLOCKS_APART,
    DUPLICATE,
    FIRST_POLL,
    NO_SENSE,
    UNREADABLE,
    Account,
    Listens,
    Size,
    comparable,
    not_found,
    plain,
    read_accounts,
    without_names,
)

# Their debug lines hold the words and the signature of every call.
for _noisy in ("tweepy", "oauthlib"):
    logging.getLogger(_noisy).setLevel(logging.INFO)

API_URL = "https://api.twitter.com"
LOOK_BACK_POSTS = 20
MENTIONS_A_PAGE, MOST_PAGES = 100, 8  # X shows no more than the latest 800
PENCE_A_POST, PENCE_WITH_LINK = 1.2, 16.0  # as X charges who pays by use; set them to what you pay
EVERYBODY = ""  # the one account that every post goes out by, whatever it is addressed to

# X's status → what it means for us. A 403 is read word by word: see `_refused`.
REFUSALS = {
    400: Refusal.CONTENT,
    401: Refusal.NOT_ALLOWED,
    402: Refusal.NOT_ALLOWED,  # no credit left
    404: Refusal.NOT_ALLOWED,
}
_BLOCKED_WORDS = re.compile(
    r"suspend|locked|not permitted|not allowed|access level|permission", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class _Post:
    """One post of the timeline; its words without links."""

    id: str
    text: str
    at: datetime | None


@dataclass(frozen=True, kw_only=True)
class _Me:
    """An account of ours as X knows it. name: with its @."""

    id: str
    name: str


class _Session:
    """What tweepy asks of its session: `request`, sent where we say and with our deadline."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @asynccontextmanager
    async def request(self, method: str, url: Any, **options: Any) -> AsyncIterator[Any]:
        async with self._session.request(method, url, **options) as response:
            yield response


class SocialX(Listens):
    """Posts as the accounts whose keys it has, of one app. With one pair of keys alone, every post is that account's."""

    name = "social_x"
    network = Network.X
    capabilities = Capabilities(
        media=frozenset({Medium.SOCIAL}),
        replies=True,
        receipts=False,
        html=False,
        max_text=weighted.MAX_LENGTH,
        idempotency=Idempotency.CONTENT,
        slot_rows=1,
        timeout_seconds=15,
    )
    variables = (
        Variable(name="NOTIFIER_X_CONSUMER_KEY", meaning="X app key", secret=True, required=True),
        Variable(name="NOTIFIER_X_CONSUMER_SECRET", meaning="X app secret", secret=True, required=True),
        Variable(
            name="NOTIFIER_X_ACCOUNTS",
            meaning="Accounts with their tokens: @southmere=TOKEN:SECRET @alder=TOKEN:SECRET",
            secret=True,
        ),
        Variable(
            name="NOTIFIER_X_ACCESS_TOKEN",
            meaning="Token of the one account, where all teams share it",
            secret=True,
        ),
        Variable(name="NOTIFIER_X_ACCESS_TOKEN_SECRET", meaning="Its secret", secret=True),
        Variable(name="NOTIFIER_X_PENCE", meaning="What a post costs, in pence", default=str(PENCE_A_POST)),
        Variable(
            name="NOTIFIER_X_LINK_PENCE",
            meaning="What a post with a link costs, in pence",
            default=str(PENCE_WITH_LINK),
        ),
        Variable(
            name="NOTIFIER_X_API_URL",
            meaning="Where X's interface is, for a drill against a stand-in",
            default=API_URL,
        ),
    )

    def __init__(
        self,
        consumer_key: str,
        consumer_secret: str,
        accounts: Mapping[str, str],
        *,
        api_url: str = API_URL,
        pence: float = PENCE_A_POST,
        link_pence: float = PENCE_WITH_LINK,
        timeout_seconds: float = 15,
    ) -> None:
        """accounts: name → token and its secret, with a colon between; the name EVERYBODY takes every post."""
        super().__init__(accounts)
        self._session = Session(api_url, total_seconds=timeout_seconds, connect_seconds=timeout_seconds / 2)
        self._pence, self._link_pence = pence, link_pence
        self._clients = {
            name: self._client(consumer_key, consumer_secret, secret) for name, secret in accounts.items()
        }
        self._known: dict[str, _Me] = {}

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        needed = ["NOTIFIER_X_CONSUMER_KEY", "NOTIFIER_X_CONSUMER_SECRET"]
        one = ["NOTIFIER_X_ACCESS_TOKEN", "NOTIFIER_X_ACCESS_TOKEN_SECRET"]
        listed = env.get("NOTIFIER_X_ACCOUNTS", "").strip()
        for name in needed if listed else [*needed, *one]:
            if not env.get(name):
                raise NotConfigured(cls.name, name)
        accounts = {EVERYBODY: ":".join(env[name] for name in one)} if not listed else {}
        if listed:
            accounts = read_accounts(cls.name, "NOTIFIER_X_ACCOUNTS", listed, cls.network, parts=2)
        return cls(
            env["NOTIFIER_X_CONSUMER_KEY"],
            env["NOTIFIER_X_CONSUMER_SECRET"],
            accounts,
            api_url=env.get("NOTIFIER_X_API_URL") or API_URL,
            pence=_price(env, "NOTIFIER_X_PENCE", PENCE_A_POST),
            link_pence=_price(env, "NOTIFIER_X_LINK_PENCE", PENCE_WITH_LINK),
        )

    async def close(self) -> None:
        await self._session.close()

    def size(self, text: str) -> Size:
        found = weighted.measure(text)
        return Size(length=found.length, limit=found.limit)

    def pence(self, text: str) -> float:
        return self._link_pence if weighted.links(text) else self._pence

    def account_of(self, message: Outgoing) -> Account | Refused:
        return self._accounts.get(EVERYBODY) or super().account_of(message)

    async def post(self, account: Account, words: str, message: Outgoing) -> Outcome:
        """A duplicate is Refused: here nobody knows whose the earlier post is. `look_up` finds out."""
        if not weighted.measure(words).fits:
            return Refused(why=Refusal.CONTENT, reason="X takes no such characters")
        try:
            made = await self._clients[account.name].create_tweet(text=words, user_auth=True)
            return Accepted(provider_id=str(made.data["id"]))
        except tweepy.HTTPException as error:
            refused = self._refused(error)
            is_double = refused.code == DUPLICATE
            return await self._with_its_id(refused, account, words) if is_double else refused
        except tweepy.TweepyException:
            return Unknown(reason=NO_SENSE)

    async def look_up(
        self, message: Outgoing, *, since: datetime | None = None, claimed: Collection[str] = ()
    ) -> Outcome:
        """The account's latest posts, compared without their links, which X rewrites."""
        words, account = self.words_of(message), self.account_of(message)
        if isinstance(words, Refused):
            return words
        if isinstance(account, Refused):
            return account
        try:
            latest = await self._timeline(account)
        except self.trouble as error:
            return not_asked(error)
        wanted = comparable(words)
        earliest = since - CLOCKS_APART if since else None
        for post in latest:
            is_later = earliest is None or post.at is None or post.at >= earliest
            if post.text == wanted and is_later and post.id not in claimed:
                return Accepted(provider_id=post.id)
        return not_found(self.network)

    async def heard(self, account: Account, mark: str) -> tuple[Sequence[Incoming], str]:
        """Mentions and answers after the post `mark`; all there are, for X tells the newest first."""
        me = await self._me(account)
        begins = {"since_id": mark} if mark else {"start_time": datetime.now(UTC) - FIRST_POLL}
        found: list[Incoming] = []
        newest, page = int(mark or 0), None
        for _ in range(MOST_PAGES):
            answer = await self._clients[account.name].get_users_mentions(
                me.id,
                **begins,
                pagination_token=page,
                max_results=MENTIONS_A_PAGE,
                expansions=["author_id"],
                tweet_fields=["created_at", "conversation_id", "referenced_tweets", "note_tweet"],
                user_fields=["username"],
                user_auth=True,
            )
            names = {str(user.id): user.username for user in answer.includes.get("users", ())}
            for said in answer.data or ():
                newest = max(newest, int(said.id))
                if str(said.author_id) != me.id:
                    found.append(_incoming(said, names, me.name))
            page = answer.meta.get("next_token")
            if not page:
                break
        return found[::-1], str(newest) if newest else ""

    @property
    def trouble(self) -> tuple[type[Exception], ...]:
        return (tweepy.TweepyException, *TROUBLE, *UNREADABLE)

    # --- Helpers --------------------------------------------------------------------------

    def _client(self, consumer_key: str, consumer_secret: str, secret: str) -> AsyncClient:
        token, _, token_secret = secret.partition(":")
        client = AsyncClient(
            consumer_key=consumer_key,
            consumer_secret=consumer_secret,
            access_token=token,
            access_token_secret=token_secret,
            wait_on_rate_limit=False,
        )
        client.session = _Session(self._session)
        return client

    async def _me(self, account: Account) -> _Me:
        """Who the keys belong to, asked once."""
        if account.name not in self._known:
            found = (await self._clients[account.name].get_me(user_auth=True)).data
            self._known[account.name] = _Me(id=str(found.id), name=f"@{found.username.lower()}")
        return self._known[account.name]

    async def _timeline(self, account: Account) -> list[_Post]:
        """The newest first. Raises what tweepy and the session raise."""
        me = await self._me(account)
        latest = await self._clients[account.name].get_users_tweets(
            me.id, max_results=LOOK_BACK_POSTS, tweet_fields=["created_at"], user_auth=True
        )
        return [
            _Post(id=str(post.id), text=comparable(plain(post.text)), at=post.created_at)
            for post in latest.data or ()
        ]

    async def _with_its_id(self, refused: Refused, account: Account, words: str) -> Refused:
        """A refused duplicate, with the id of the post that has the words already, if it can be read."""
        try:
            latest = await self._timeline(account)
        except self.trouble:
            return refused
        wanted = comparable(words)
        found = next((post.id for post in latest if post.text == wanted), "")
        return replace(refused, provider_id=found)

    def _refused(self, error: tweepy.HTTPException) -> Refused:
        """A 4xx that tweepy could read."""
        status = int(error.response.status)
        words = " ".join(str(message) for message in error.api_messages)
        if status == 403:
            if DUPLICATE in words.lower():
                return self.refused(Refusal.CONTENT, "a recent post has the same words", DUPLICATE)
            why = Refusal.NOT_ALLOWED if _BLOCKED_WORDS.search(words) else Refusal.CONTENT
            return self.refused(why, "X refused the post", "403")
        if status == 402:  # the app's credit, not the account's
            return Refused(why=Refusal.NOT_ALLOWED, reason="X answered 402", code="402")
        return self.refused(REFUSALS.get(status, Refusal.CONTENT), f"X answered {status}", str(status))


def _incoming(said: Any, names: Mapping[str, str], to: str) -> Incoming:
    """A post that names us. The conversation is named by its first post, and that is ours where it is an answer."""
    long = (said.data.get("note_tweet") or {}).get("text")
    first = str(said.conversation_id or "")
    return Incoming(
        event_id=str(said.id),
        medium=Medium.SOCIAL,
        sender=f"@{names.get(str(said.author_id), said.author_id)}".lower(),
        recipient=to,
        text=without_names(plain(long or said.text)),
        at=said.created_at,
        raw=json.dumps(said.data, ensure_ascii=False).encode(),
        in_reply_to="" if first == str(said.id) else first,
    )


def _price(env: Mapping[str, str], name: str, default: float) -> float:
    try:
        pence = float(env.get(name) or default)
    except ValueError as error:
        raise NotConfigured(SocialX.name, name, "is not a number") from error
    if not 0 <= pence < float("inf"):
        raise NotConfigured(SocialX.name, name, "is not a price in pence")
    return pence
