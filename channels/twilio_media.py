"""Pictures that came with a text: which addresses are Twilio's, and is it a picture.

Pure. Called by `sms_twilio`. Twilio's interface wants the account's password and then sends on to a host that only stores; so
the password goes to the interface alone, and nothing is asked of any host that is not one of these.
Source: Twilio's "Media subresource" page and its help page on protecting media with HTTP authentication.
"""

import re
from urllib.parse import urlsplit

MOST_BYTES = 5_000_000  # Twilio's own limit
MOST_HOPS = 3
KINDS = {
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
}
_API_HOST = re.compile(r"api(?:\.[a-z0-9-]{1,20}){0,2}\.twilio\.com")
_STORES = ("mms.twiliocdn.com", "media.twiliocdn.com")
_SHARED_STORE, _OURS_IN_IT = "s3-external-1.amazonaws.com", "/media.twiliocdn.com/"


def path_of(url: str, account_sid: str, api_url: str) -> str | None:
    """The path of a picture of this account on Twilio's interface; none where the address is any other."""
    shape = rf"/2010-04-01/Accounts/{re.escape(account_sid)}/Messages/(?:SM|MM)[0-9a-fA-F]{{32}}/Media/ME[0-9a-fA-F]{{32}}"
    if not url.isascii() or not url.isprintable():
        return None
    try:
        parts = urlsplit(url)
        is_twilio = parts.scheme == "https" and bool(_API_HOST.fullmatch(parts.netloc))
    except ValueError:
        return None
    is_ours = is_twilio or f"{parts.scheme}://{parts.netloc}" == api_url.rstrip("/")
    return parts.path if is_ours and re.fullmatch(shape, parts.path) and not parts.query else None


def is_store(url: str, stand_in: str = "") -> bool:
    """Whether Twilio may send on to that address. stand_in: an origin that is trusted in a drill."""
    try:
        parts = urlsplit(url)
        if stand_in and f"{parts.scheme}://{parts.netloc}" == stand_in.rstrip("/"):
            return True
        host = parts.netloc.removesuffix(":443")
    except ValueError:
        return False
    if parts.scheme != "https" or not url.isascii() or not url.isprintable():
        return False
    within = parts.path.startswith(_OURS_IN_IT) and ".." not in parts.path and "%" not in parts.path
    return host in _STORES or (host == _SHARED_STORE and within)


def kind_of(content_type: str, data: bytes) -> str | None:
    """The kind of picture, where what is said and what is there agree; none where it is anything else."""
    said = content_type.partition(";")[0].strip().lower()
    said = "image/jpeg" if said == "image/jpg" else said
    if not any(data.startswith(mark) for mark in KINDS.get(said, ())):
        return None
    return said if said != "image/webp" or data[8:12] == b"WEBP" else None
