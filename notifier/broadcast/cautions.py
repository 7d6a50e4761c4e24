"""What an officer should look at twice before a message goes out. Pure; called by the desk's preview.

These are questions, not refusals: what may not be sent at all is `draft.check`'s business.
"""

import re
from urllib.parse import urlsplit

SHORTENERS = frozenset(
    {"bit.ly", "t.co", "goo.gl", "tinyurl.com", "ow.ly", "is.gd", "buff.ly", "rb.gy", "cutt.ly", "t.ly"}
)
MARKINGS = ("OFFICIAL-SENSITIVE", "OFFICIAL", "SECRET", "RESTRICTED")
LONGEST_LINK = 100

_LINK = re.compile(r"https?://[^\s<>()\"']{1,2000}", re.IGNORECASE)
_BARE_SHORTENER = re.compile(r"(?<![\w./-])([a-z]{1,8}\.[a-z]{2,3})/\w", re.IGNORECASE)
_PHONE = re.compile(r"(?<![\d+])(?:\+44\s?|0)(?:\d[\s-]?){9,10}(?!\d)")
_PREMIUM = re.compile(r"(?:tel:)?\+?(?:44|0)\s?9\d")
_POSTCODE = re.compile(r"\b[A-Z]{1,2}[0-9][0-9A-Z]?\s?[0-9][A-Z]{2}\b")
_PRESSING = re.compile(r"\b(?:urgent|act now|immediately|final warning|last chance)\b", re.IGNORECASE)
_TRACKING = re.compile(r"[?&](?:utm_\w+|fbclid|gclid)=", re.IGNORECASE)


def cautions(title: str, body: str) -> list[str]:
    """Sentences about these words, the gravest first; none where nothing stands out."""
    text = f"{title}\n{body}"
    said = [*_of_marking(text), *_of_links(text), *_of_people(text), *_of_tone(title, body)]
    return list(dict.fromkeys(said))


def _of_marking(text: str) -> list[str]:
    found = next((mark for mark in MARKINGS if re.search(rf"\b{mark}\b", text)), None)
    return [f"It says {found}. Should these words be public?"] if found else []


def _of_links(text: str) -> list[str]:
    said = []
    shorteners = [match[1].lower() for match in _BARE_SHORTENER.finditer(text)]
    for link in _LINK.findall(text):
        parts = urlsplit(link.rstrip(".,;:!?"))
        host = (parts.hostname or "").lower()
        shorteners.append(host)
        if parts.scheme.lower() == "http":
            said.append(f"The link to {host[:60]} is not secure: use https:// if the site has it.")
        if not host.isascii() or host.startswith("xn--") or ".xn--" in host:
            said.append(f"The link to {host[:60]} has look-alike letters: is it the real site?")
        if _TRACKING.search(link):
            said.append(f"The link to {host[:60]} tracks its readers: remove what stands after the “?”.")
        if len(link) > LONGEST_LINK:
            said.append(f"The link to {host[:60]} is very long, and costs space in a text message.")
    said += [
        f"{host} hides where a link goes: give the real address."
        for host in dict.fromkeys(shorteners)
        if host in SHORTENERS
    ]
    if _PREMIUM.search(text):
        said.append("There is a number that costs its callers extra.")
    return said


def _of_people(text: str) -> list[str]:
    said = []
    if _PHONE.search(text):
        said.append("There is a phone number in it: is it one the public may ring?")
    if _POSTCODE.search(text):
        said.append("There is a full postcode in it: could it point to somebody's home?")
    return said


def _of_tone(title: str, body: str) -> list[str]:
    said = []
    if any(_is_shouted(part) for part in (title, body)):
        said.append("WORDS IN CAPITALS are hard to read, and look like a hoax.")
    if _PRESSING.search(title) or _PRESSING.search(body):
        said.append("It presses people to act fast, as fraudsters do. Say why, and by when.")
    if re.fullmatch(r"\W*tests?\W*", title, re.IGNORECASE):
        said.append("The title says it is a test. Everybody in the audience will get it.")
    return said


def _is_shouted(text: str) -> bool:
    letters = [character for character in text if character.isalpha()]
    return len(letters) >= 8 and sum(character.isupper() for character in letters) > 0.7 * len(letters)


__all__ = ["cautions"]
