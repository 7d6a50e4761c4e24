"""A provider's call that could not be read, kept as the HTTP message it was, to be read again by a later release. Pure.

The form is that of RFC 9112 with the target and the headers a reader may need; what only proved who called is left out.
"""

from urllib.parse import urlsplit

from channels.base import HookRequest

_PROOF = frozenset({"authorization", "proxy-authorization", "cookie"})
_METHOD, _VERSION = b"POST ", b" HTTP/1.1"


def target_of(call: HookRequest) -> str:
    """Path and query, as they were sent."""
    parts = urlsplit(call.url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def written(call: HookRequest) -> bytes:
    """The call as octets."""
    lines = [_METHOD + _octets(target_of(call)) + _VERSION]
    lines += [
        _octets(f"{name}: {value}") for name, value in call.headers.items() if name.lower() not in _PROOF
    ]
    return b"\r\n".join([*lines, b"", call.body])


def read(raw: bytes, origin: str) -> HookRequest | None:
    """The call in those octets, at our address `origin`; None where they hold none."""
    head, separator, body = raw.partition(b"\r\n\r\n")
    first, _, headers = head.partition(b"\r\n")
    if not separator or not first.startswith(_METHOD) or not first.endswith(_VERSION):
        return None
    target = _words(first.removeprefix(_METHOD).removesuffix(_VERSION))
    pairs = (_words(line).partition(": ") for line in headers.split(b"\r\n") if line)
    return HookRequest(url=f"{origin}{target}", headers={name: value for name, _, value in pairs}, body=body)


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _words(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")
