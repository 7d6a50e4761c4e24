"""The one spelling of an address on each medium, or a plain sentence saying what to enter.

Pure. Every channel's `normalise` ends here, so an address is one key whatever carries it.
Sources: RFC 5321 §4.5.3.1 (lengths), Ofcom's numbering plan (070 and 076 are not mobiles),
Ofcom's numbers for drama (07700 900000 to 900999, allowed so that nobody real is ever texted).
"""

import re
import unicodedata
from collections.abc import Collection
from enum import StrEnum
from typing import assert_never

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from channels import push_address
from channels.base import Medium
from channels.errors import BadAddress

ENTER_AN_EMAIL = "Enter an email address like name@example.com"
USE_ANOTHER_EMAIL = "We cannot write to that email address. Use another one"
ENTER_A_MOBILE = "Enter a UK mobile number, like 07700 900000"
ONLY_UK_MOBILES = "We can only text UK mobiles"
ENTER_AN_ACCOUNT = (
    "Enter an account: @SouthmereSNT on X, @southmere@police.example on Mastodon, "
    "southmere.example on Bluesky, or the number of a Facebook page"
)

LONGEST_EMAIL, LONGEST_LOCAL_PART = 254, 64
LONGEST_ACCOUNT = 253
LONGEST_INPUT = 512  # spaces and invisible characters included
NEVER_MAILED = ("invalid", "localhost", "local", "test", "onion", "arpa")

# Phones copy a number or an address between marks of its direction; one that turns it round is refused.
_INVISIBLE = dict.fromkeys(
    map(
        ord,
        "\u00ad\u061c\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u2060\u2066\u2067\u2068\u2069\ufeff",
    )
)
_LINK = re.compile(r"(?:tel|sms|mailto):", re.IGNORECASE)  # what "copy link" copies
_MOBILE = re.compile(r"7[1-57-9]\d{8}")
_WITHOUT_PLUS = re.compile(r"(?:440?)?(7\d{9})")
_DRAMA = re.compile(r"7700900\d{3}")
_GAPS = re.compile(r"(?<=[\d()+])[\s\-‐‑‒–—−.]+(?=[\d()+])")
_NUMBER = re.compile(r"\+?\d{1,20}")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = rf"(?:{_LABEL}\.){{1,10}}(?!\d)[a-z0-9](?:[a-z0-9-]{{0,61}}[a-z0-9])"
_ALPHANUMERIC = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 &._+!?-]{1,11}")
_SHORT = re.compile(r"\d{2,8}")
_PHONE_LIKE = re.compile(r"(?:[a-z]{2,12}:)?(\(?\+?[\d\s().-]{6,30})")


class Network(StrEnum):
    """Where an account is. Each writes its accounts in its own way, so that one spelling names one account."""

    X = "X"
    MASTODON = "Mastodon"
    BLUESKY = "Bluesky"
    FACEBOOK = "Facebook"


# How each spells its accounts: the X help centre (1 to 15 letters, digits, underscores), Mastodon's own validator,
# atproto's handle and DID rules, and the number Facebook gives a page.
_ACCOUNTS = {
    Network.X: re.compile(r"@?(?P<name>[a-z0-9_]{1,15})"),
    Network.MASTODON: re.compile(rf"@?(?P<name>[a-z0-9_]+(?:[a-z0-9_.-]{{0,60}}[a-z0-9_])?@{_HOST})"),
    Network.BLUESKY: re.compile(rf"@?(?P<name>{_HOST})|(?P<did>did:plc:[a-z2-7]{{24}}|did:web:{_HOST})"),
    Network.FACEBOOK: re.compile(r"(?P<name>\d{5,20})"),
}
_BEGINS_WITH_AT = (Network.X, Network.MASTODON)
_ENTER = {
    Network.X: "Enter an X account, like @SouthmereSNT",
    Network.MASTODON: "Enter a Mastodon account, like @southmere@police.example",
    Network.BLUESKY: "Enter a Bluesky account, like southmere.example",
    Network.FACEBOOK: "Enter the number of a Facebook page, like 104857600000000",
}


def normalise(address: str, medium: Medium) -> str:
    """The one spelling of `address` on `medium`. BadAddress carries the sentence to show."""
    match medium:
        case Medium.EMAIL:
            return email(address)
        case Medium.SMS:
            return uk_mobile(address)
        case Medium.SOCIAL:
            return account(address)
        case Medium.PUSH:
            return endpoint(address)


def email(address: str) -> str:
    """Whole address in lower case, the domain in its ASCII form.

    Before the @ letters of any script may stand (RFC 6531), in their composed form; whether a mail server carries
    such an address shows when it is written to. A curly apostrophe or other sign comes from a word processor.
    """
    text = _tidy(address, ENTER_AN_EMAIL)
    if re.search(r"\.[a-z]$", text, re.IGNORECASE):  # no top-level domain has one letter
        raise BadAddress(ENTER_AN_EMAIL)
    if text.rpartition(".")[2].lower() in NEVER_MAILED or text.lower().endswith("@localhost"):
        raise BadAddress(USE_ANOTHER_EMAIL)
    try:
        checked = validate_email(
            text, check_deliverability=False, allow_smtputf8=True, allow_quoted_local=False
        )
    except EmailNotValidError as error:
        raise BadAddress(ENTER_AN_EMAIL) from error
    name, domain = _in_lower_case(checked.local_part), (checked.ascii_domain or "").lower()
    octets = len(name.encode())
    if not domain or octets > LONGEST_LOCAL_PART or octets + 1 + len(domain) > LONGEST_EMAIL:
        raise BadAddress(ENTER_AN_EMAIL)
    return f"{name}@{domain}"


def uk_mobile(address: str) -> str:
    """`+447…` of a number that a UK mobile network serves."""
    text = _GAPS.sub("", unicodedata.normalize("NFKC", _tidy(address, ENTER_A_MOBILE)))
    text = text.replace("(0)", "").replace("(", "").replace(")", "")
    if not text.isascii() or not _NUMBER.fullmatch(text):
        raise BadAddress(ENTER_A_MOBILE)
    text = f"+{text[2:]}" if text.startswith("00") else text
    national = _uk_national(text)
    if national is None:
        raise BadAddress(ONLY_UK_MOBILES if _is_foreign(text) else ENTER_A_MOBILE)
    if _DRAMA.fullmatch(national):
        return f"+44{national}"
    number = phonenumbers.PhoneNumber(country_code=44, national_number=int(national))
    if not phonenumbers.is_valid_number(number):
        raise BadAddress(ENTER_A_MOBILE)
    if not _MOBILE.fullmatch(national) or _is_of_the_islands(number):
        is_landline = national[0] in "123"
        raise BadAddress(ENTER_A_MOBILE if is_landline else ONLY_UK_MOBILES)
    return f"+44{national}"


def account(address: str, network: Network | None = None) -> str:
    """An account in the one spelling of its network, in lower case; of whichever network it is where none is named.

    `@name` is X's, `@name@host` Mastodon's, `name.host` or a DID Bluesky's, and digits are a Facebook page.
    """
    text = _tidy(address, _ENTER.get(network, ENTER_AN_ACCOUNT) if network else ENTER_AN_ACCOUNT).lower()
    if network is not None:
        found = _spelt(text, network)
        if found is None:
            raise BadAddress(_ENTER[network])
        return found
    kind = network_of(text)
    found = _spelt(text, kind) if kind else None
    if found is None or ("@" in text[1:] and not text.startswith("@")):  # else it may be an email
        raise BadAddress(ENTER_AN_ACCOUNT)
    return found


def network_of(account: str) -> Network | None:
    """Which network's spelling an account has; none where it has no network's. Digits are a page before a name."""
    order = (Network.FACEBOOK, Network.X, Network.BLUESKY, Network.MASTODON)
    return next((each for each in order if _spelt(account.lower(), each)), None)


def page_of(account: str) -> str:
    """Where anybody can read an account, or nothing where its spelling names none."""
    network, name = network_of(account), account.removeprefix("@")
    match network:
        case Network.X:
            return f"https://x.com/{name}"
        case Network.MASTODON:
            person, _, host = name.partition("@")
            return f"https://{host}/@{person}"
        case Network.BLUESKY:
            return f"https://bsky.app/profile/{name}"
        case Network.FACEBOOK:
            return f"https://www.facebook.com/{name}"
        case None:
            return ""
    assert_never(network)


def _spelt(text: str, network: Network) -> str | None:
    found = _ACCOUNTS[network].fullmatch(text)
    if found is None or len(text) > LONGEST_ACCOUNT:
        return None
    name = found["name"] or found["did"]
    return f"@{name}" if network in _BEGINS_WITH_AT else name


def endpoint(address: str, services: Collection[str] = push_address.PUSH_SERVICES) -> str:
    """A browser's push subscription, endpoint and keys, as one line. services: the hosts it may lie on."""
    return str(push_address.read(address, services))


def incoming_number(sender: str) -> str:
    """Who sent a text, in E.164 where it is a number, else as given: never raises."""
    text = sender.translate(_INVISIBLE).strip()
    found = _PHONE_LIKE.fullmatch(text)
    if not found or is_short_or_alphanumeric(text):
        return text
    try:
        number = phonenumbers.parse(found[1], "GB")
    except phonenumbers.NumberParseException:
        return text
    if not phonenumbers.is_possible_number(number):
        return text
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def is_short_or_alphanumeric(sender: str) -> bool:
    """Whether a text came from a short code or from letters: nobody there reads an answer."""
    text = sender.strip()
    return bool(_SHORT.fullmatch(text) or _ALPHANUMERIC.fullmatch(text)) and not text.startswith("+")


def _tidy(address: str, otherwise: str) -> str:
    """Without surrounding space, invisible characters and the beginning of a link; control characters inside are refused."""
    if len(address) > LONGEST_INPUT:
        raise BadAddress(otherwise)
    text = address.translate(_INVISIBLE).strip()
    if link := _LINK.match(text):
        text = text[link.end() :].strip()
    if not text or any(unicodedata.category(character)[0] == "C" for character in text):
        raise BadAddress(otherwise)
    return text


def _in_lower_case(name: str) -> str:
    """The part before the @: of what is outside ASCII, letters, marks and digits alone, as they are composed."""
    lower = unicodedata.normalize("NFC", name.lower())
    others = [character for character in lower if not character.isascii()]
    if any(unicodedata.category(each)[0] not in "LMN" for each in others):
        raise BadAddress(ENTER_AN_EMAIL)
    if (
        unicodedata.normalize("NFKC", lower) != lower
    ):  # wide or raised forms of other letters: a slip of the keyboard
        raise BadAddress(ENTER_AN_EMAIL)
    return lower


def _uk_national(text: str) -> str | None:
    """The digits after 0 or +44, or none if the number is not written as a UK one."""
    if text.startswith("+44"):
        return text[3:].lstrip("0") or None
    if found := _WITHOUT_PLUS.fullmatch(text):  # spreadsheets drop a plus, and a zero in front
        return found[1]
    return text[1:] if text.startswith("0") and len(text) > 1 else None


def _is_of_the_islands(number: phonenumbers.PhoneNumber) -> bool:
    """Whether it is served from Guernsey, Man or Jersey, which share our country code but not our prices."""
    return any(phonenumbers.is_valid_number_for_region(number, island) for island in ("GG", "IM", "JE"))


def _is_foreign(text: str) -> bool:
    return len(text) > 6 and text.startswith("+") and not text.startswith("+44")
