"""What the channels of UK text providers share: settings, prices, our public address, and who may call our hooks.

Such providers sign nothing. They call an address that holds a key of ours, in its query (`?key=…`) or as the password of
HTTP Basic, over TLS; the key can be changed while calls with the older one still come.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import ClassVar, Self
from urllib.parse import parse_qs, quote, urlsplit
from zoneinfo import ZoneInfo

from channels import estimates, gsm, senders
from channels.base import Content, Estimate, HookReply, HookRequest, Medium, Outgoing, Prepared, Variable, cut
from channels.errors import NotConfigured
from channels.hook_fields import word
from channels.http import Session
from channels.one_medium import OneMedium

LONDON = ZoneInfo("Europe/London")
SHORTEST_KEY = 16
_LOCAL = ("localhost", "127.0.0.1", "::1")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:\.\d+)?\s*(Z|[+-]\d\d:?\d\d)?")


def variables_of(name: str, provider: str, api_url: str) -> tuple[Variable, ...]:
    """The settings of a channel: NOTIFIER_<name>_…, and how the provider is called."""
    return (
        Variable(
            name=f"NOTIFIER_{name}_API_KEY", meaning=f"{provider}'s API key", secret=True, required=True
        ),
        Variable(
            name=f"NOTIFIER_{name}_SENDERS",
            meaning="Numbers and names to send from, the first is the default; names take no replies",
            required=True,
        ),
        Variable(
            name=f"NOTIFIER_{name}_HOOK_KEYS",
            meaning=f"Keys that {provider} calls us with, newest first, separated by commas; "
            f"each of at least {SHORTEST_KEY} letters and digits",
            secret=True,
            required=True,
        ),
        Variable(
            name=f"NOTIFIER_{name}_API_URL",
            meaning=f"Where {provider}'s interface is, for a drill against a stand-in",
            default=api_url,
        ),
        Variable(
            name=f"NOTIFIER_{name}_PENCE",
            meaning=f"What one part of a text through {provider} costs, in pence",
            default=str(estimates.PENCE[f"sms_{name.lower()}"]),
        ),
    )


class UkTexts(OneMedium):
    """Texts through one provider. Reads NOTIFIER_BASE_URL beside its own variables.

    setting: the middle of its variables' names. api_url: the provider's own. max_parts, joined: its longest text.
    """

    medium, called = Medium.SMS, "texts"
    setting: ClassVar[str]
    api_url: ClassVar[str]
    max_parts: ClassVar[int] = estimates.MAX_PARTS
    joined: ClassVar[Mapping[gsm.Encoding, int]] = gsm.JOINED

    def __init__(
        self,
        api_key: str,
        numbers: Sequence[str],
        hook_keys: Sequence[str],
        *,
        base_url: str = "",
        api_url: str = "",
        pence_per_part: float | None = None,
        timeout_seconds: float = 10,
    ) -> None:
        self._api_key, self._hook_keys = api_key, tuple(hook_keys)
        self.senders = senders.of(*numbers)
        self._pence = estimates.PENCE[self.name] if pence_per_part is None else pence_per_part
        origin = api_url or self.api_url
        self._base_url = base_url.rstrip("/")
        is_local = (
            urlsplit(self._base_url).hostname in _LOCAL
        )  # which no provider reaches, but a stand-in does
        self._takes_callbacks = bool(self._base_url) and not (is_local and origin == self.api_url)
        self._session = Session(origin, total_seconds=timeout_seconds, connect_seconds=timeout_seconds / 2)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        prefix = f"NOTIFIER_{cls.setting}"
        key = env.get(f"{prefix}_API_KEY", "").strip()
        if not key:
            raise NotConfigured(cls.name, f"{prefix}_API_KEY")
        found = senders.read(cls.name, f"{prefix}_SENDERS", env.get(f"{prefix}_SENDERS", ""))
        hook_keys = [each for each in re.split(r"[\s,]+", env.get(f"{prefix}_HOOK_KEYS", "")) if each]
        if not hook_keys:
            raise NotConfigured(cls.name, f"{prefix}_HOOK_KEYS")
        if not all(re.fullmatch(rf"[A-Za-z0-9_-]{{{SHORTEST_KEY},}}", each) for each in hook_keys):
            why = f"holds a key that is not {SHORTEST_KEY} letters and digits or more"
            raise NotConfigured(cls.name, f"{prefix}_HOOK_KEYS", why)
        return cls(
            key,
            [each.address for each in found],
            hook_keys,
            base_url=env.get("NOTIFIER_BASE_URL", ""),
            api_url=env.get(f"{prefix}_API_URL", ""),
            pence_per_part=estimates.pence_from(env, cls.name, f"{prefix}_PENCE"),
        )

    async def close(self) -> None:
        await self._session.close()

    def estimate(self, content: Content) -> Estimate:
        return estimates.estimate(
            content, pence_per_part=self._pence, max_parts=self.max_parts, joined=self.joined
        )

    def prepare(self, content: Content) -> Prepared:
        self.require_fit(content)
        estimates.require_room(content, self.estimate(content), max_parts=self.max_parts)
        return Prepared(medium=content.medium, language=content.language, pieces=cut(content.text))

    async def verify(self, request: HookRequest) -> bool:
        """By the key in the address or in the Authorization header. Constant time in every pair."""
        given = [key.encode("utf-8", "replace") for key in _keys_in(request)]
        good = [hmac.compare_digest(ours.encode(), theirs) for ours in self._hook_keys for theirs in given]
        return any(good)

    def answer(self) -> HookReply:
        return HookReply(body=b"RECEIVED")

    def callback(self, message: Outgoing) -> str:
        """Where the provider is to tell what became of it; empty where it cannot reach us."""
        if not self._takes_callbacks:
            return ""
        return f"{self._base_url}/hooks/{self.name}?attempt={quote(message.attempt)}&key={self._hook_keys[0]}"

    def sender_of(self, message: Outgoing) -> str:
        return (message.sender or self.senders[0].address).removeprefix("+")


def attempt_of(request: HookRequest) -> str:
    """Our token of the attempt that a receipt is about, from the address we gave for it."""
    return word({"attempt": parse_qs(urlsplit(request.url).query).get("attempt", [""])[0]}, "attempt")


def utc(written: str) -> datetime | None:
    """A provider's time, London's where it names no zone; none where it cannot be read."""
    found = _TIME.fullmatch(written.strip())
    if not found:
        return None
    try:
        at = datetime.fromisoformat(f"{found[1]}T{found[2]}{found[3] or ''}")
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=LONDON)).astimezone(UTC)


def _keys_in(request: HookRequest) -> list[str]:
    try:
        query = parse_qs(urlsplit(request.url).query, max_num_fields=20)
    except ValueError:
        return []
    header = next((value for name, value in request.headers.items() if name.lower() == "authorization"), "")
    kind, _, given = header.partition(" ")
    if kind.lower() != "basic" or len(given) > 1000:
        return query.get("key", [])[:1]
    try:
        pair = base64.b64decode(given.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return []
    return [*query.get("key", [])[:1], pair.partition(":")[2]]
