"""How a mail to many says that one can leave: List-Unsubscribe (RFC 2369 §3.2) and its one click (RFC 8058).

Pure. Called by `mail_lint`, which holds our own mail to it.
"""

import re
from dataclasses import dataclass

ONE_CLICK = "List-Unsubscribe=One-Click"
LONGEST = 8_000
_COMMENT = re.compile(r"\([^()<>]*\)")
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, kw_only=True)
class Leaving:
    """uris: in the sender's order of preference. one_click: one POST to the first https address is enough."""

    uris: tuple[str, ...] = ()
    one_click: bool = False


def read(unsubscribe: str, post: str = "") -> Leaving:
    """What the two headers offer; what stands outside angle brackets is no address."""
    uris, rest = [], unsubscribe[:LONGEST]
    while (opens := rest.find("<")) >= 0:
        closes = rest.find(">", opens)
        if closes < 0 or _COMMENT.sub("", rest[:opens]).strip(" \t\r\n,"):
            break
        uri, rest = _SPACE.sub("", rest[opens + 1 : closes]), rest[closes + 1 :]
        if ":" in uri and "<" not in uri:
            uris.append(uri)
    has_https = any(uri.lower().startswith("https://") for uri in uris)
    is_meant = _SPACE.sub("", post).lower() == ONE_CLICK.lower()
    return Leaving(uris=tuple(uris), one_click=is_meant and has_https)
