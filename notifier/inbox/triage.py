"""What is this? Decides what a message from outside asks for, by its words and headers alone.

Pure. Called by `handle`. A command is the whole message or it is none: "stop the dealers outside
number 12" is a reply, never an opt-out. What only looks like a wish to stop is marked for the officer.
Words: those carriers and providers act on, their Welsh and French forms, and plain requests to be left
alone. Emergency phrases raise a flag and nothing else; they are chosen to miss little.
"""

import re
import unicodedata
from dataclasses import dataclass

from channels.mailread import Mail
from channels.reports import Report
from notifier.models import IncomingKind

_STOP_ALONE = frozenset(
    {"stop", "stopall", "unsubscribe", "unsub", "optout", "revoke", "end", "quit", "cancel"}
    | {"arret", "stopio", "desabonner", "stoptoquit"}
)
_STOP_PHRASE = re.compile(
    r"stop (?:all|it|2 quit|quit|to quit|to opt out)"
    r"|opt (?:me )?out|unsubscribe me"
    r"|stop (?:texting|messaging|contacting|emailing|mailing)(?: me| us)?(?: again)?"
    r"|stop sending(?: me| us)?(?: any| these| your)?(?: more)? (?:texts|messages|emails|mails)"
    r"|(?:do not|dont) (?:text|message|contact|email)(?: me| us)?(?: again| anymore| any more)?"
    r"|(?:i )?(?:do not|dont) want any more (?:texts|messages|emails)"
    r"|(?:i )?no longer wish to receive (?:these|this|them|your)(?: texts| messages| emails)?"
    r"|no more (?:texts|messages|emails)"
    r"|remove me(?: from (?:your|the|this) list)?|take me off (?:your|the|this) list|delete my number"
)
_BEFORE_STOP = frozenset({"please", "pls", "plz", "kindly"})
_AFTER_STOP = _BEFORE_STOP | {"now", "immediately", "thanks", "thankyou"}
_MAY_BE_POLITE = frozenset({"stop", "stopall", "unsubscribe", "unsub"})
_START = frozenset({"start", "unstop", "optin", "opt in", "subscribe", "debut"})
_HELP = frozenset({"help", "info", "cymorth"})
_YES = frozenset({"yes", "y", "ok", "okay", "iawn", "ie", "ydw"})
_STOP_SIGNS = frozenset("🛑⛔🚫")
_HINTS_AT_STOP = re.compile(
    r"\b(?:stop|unsubscribe|opt out|optout|no more|remove me|take me off|not interested)\b"
)
_ONLY_MEANS_STOP = (["unsubscribe"], ["unsubscribe", "me"])  # as a subject, whatever is explained below it
MAX_EXPLAINED_WORDS = 40
MAX_AREA_WORDS, MAX_HINT_WORDS, MAX_UNSUBSCRIBE_WORDS = 5, 8, 12
MAX_CHARACTERS = 20_000  # of a message's words that are looked at

# Taken out before the phrases below are looked for.
_NO_EMERGENCY = re.compile(
    r"\b(?:(?:not|isnt|no|non|wasnt|never)(?: really)?(?: an?| any)? ?emergency|not an? 999|(?:did not|didnt|do not|dont) (?:need|call|ring) 999"
    r"|ddim yn argyfwng|nid argyfwng|fire (?:drill|alarm test|station|brigade open day)|knife (?:amnesty|bin|bins|surrender)|toy gun|glue gun)\b"
)
_EMERGENCY = re.compile(
    r"\b(?:999|112|emergency|argyfwng|help now|help me|need help (?:now|urgently|asap)|help nawr|send (?:the )?(?:police|help|someone)|(?:call|get) the police"
    r"|(?:im|i am|we are|were|so|am) (?:so |very |really )?(?:scared|frightened|terrified|in danger|trapped)"
    r"|(?:has|have|got|with|carrying|pulled|waving) an? (?:knife|gun|machete|weapon|axe|sword)|knife|cyllell|gunshots?|gunman|stabb(?:ed|ing)|been shot|shooting"
    r"|(?:being|been|getting) (?:attacked|robbed|beaten|followed|chased|assaulted|mugged|raped)|attacking (?:me|him|her|them|us|someone)|following me|hitting (?:me|him|her)"
    r"|(?:is|are|trying to) break(?:ing)? in(?:to)?|breaking in|(?:someone|somebody|man|men|intruders?) (?:is |are )?in (?:my|our|the) (?:house|home|flat|garden)"
    r"|(?:kill|killing|hurt|hurting|harm|harming) (?:me|myself|him|her|them|himself|herself|us)|suicid(?:e|al)|want to die|end my life|overdose[d]?"
    r"|(?:not|stopped|cant|cannot|isnt) breath(?:e|ing)|unconscious|bleeding|collapsed|on fire|hostage|kidnapp(?:ed|ing)|bomb|acid attack)\b"
)


@dataclass(frozen=True, kw_only=True)
class Triage:
    """What a message is taken for.

    choice: the number in "2". code: the six digits in "123456". stop_area: what followed STOP, if it may
    name an area. urgent: an emergency phrase stands in it. hints_at_stop: an officer should ask or act.
    """

    kind: IncomingKind
    choice: int | None = None
    code: str = ""
    stop_area: str = ""
    urgent: bool = False
    hints_at_stop: bool = False


def of_text(text: str) -> Triage:
    """A text, or the new words of a mail."""
    words = plain_words(text)
    joined = " ".join(words)
    if is_stop(words):
        return Triage(kind=IncomingKind.STOP)
    if joined in _START:
        return Triage(kind=IncomingKind.START)
    if joined in _HELP or (not words and "?" in text):
        return Triage(kind=IncomingKind.HELP, urgent=joined in ("help", "cymorth"))
    if joined in _YES:
        return Triage(kind=IncomingKind.CONFIRM)
    if joined.isascii() and joined.isdigit() and len(joined) <= 2:
        return Triage(kind=IncomingKind.CHOICE, choice=int(joined))
    if joined.isascii() and joined.isdigit() and len(joined) == 6:
        return Triage(kind=IncomingKind.CONFIRM, code=joined)
    return Triage(
        kind=IncomingKind.REPLY,
        stop_area=_area_after_stop(words),
        urgent=is_urgent(joined),
        hints_at_stop=_hints_at_stop(text, words, joined),
    )


def of_post(text: str) -> Triage:
    """What somebody wrote in public: always for a person to read. Nobody stops or confirms anything by it."""
    found = of_text(text)
    return Triage(kind=IncomingKind.REPLY, urgent=found.urgent, hints_at_stop=found.hints_at_stop)


def of_mail(mail: Mail, words: str, *, to_return_path: bool = False) -> Triage:
    """A mail, whose new words (without quote and signature) are given.

    to_return_path: was it sent to where our bounces go? People answer elsewhere, machines there (RFC 3834 §4).
    """
    if mail.report is Report.COMPLAINT:
        return Triage(kind=IncomingKind.COMPLAINT)
    if mail.report is Report.DELIVERY or mail.has_bounced or (mail.bounces and to_return_path):
        return Triage(kind=IncomingKind.BOUNCE)
    if to_return_path or mail.return_path_is_null:
        return Triage(kind=IncomingKind.AUTO_REPLY)
    if _is_unsubscribe(mail.subject, words):
        return Triage(kind=IncomingKind.STOP)
    if mail.is_automatic:
        return Triage(kind=IncomingKind.AUTO_REPLY)
    found = of_text(words)
    if found.kind is IncomingKind.REPLY and is_urgent(" ".join(plain_words(mail.subject))):
        return Triage(kind=IncomingKind.REPLY, stop_area=found.stop_area, urgent=True)
    return found


def plain_words(text: str) -> list[str]:
    """Lower-case words of letters and digits: no accents, apostrophes, punctuation or invisible characters."""
    flat = unicodedata.normalize("NFKD", text[:MAX_CHARACTERS]).casefold()
    kept = (c for c in flat if c not in "'’‘`´" and unicodedata.category(c) not in ("Mn", "Cf", "Me"))
    return re.findall(r"[^\W_]+", "".join(kept))


def is_stop(words: list[str]) -> bool:
    """Is the whole message, politeness aside, a request to stop writing?"""
    if " ".join(words) in _STOP_ALONE:
        return True
    bare = list(words)
    while bare and bare[0] in _BEFORE_STOP:
        bare.pop(0)
    while bare and bare[-1] in _AFTER_STOP:
        bare.pop()
    if len(bare) > MAX_UNSUBSCRIBE_WORDS:
        return False
    joined = " ".join(bare)
    return joined in _MAY_BE_POLITE or bool(_STOP_PHRASE.fullmatch(joined))


def is_urgent(joined: str) -> bool:
    """Does an emergency phrase stand in these plain words, and no denial of it?"""
    return bool(_EMERGENCY.search(_NO_EMERGENCY.sub(" ", joined)))


def _area_after_stop(words: list[str]) -> str:
    bare = [word for word in words if word not in _BEFORE_STOP]
    if len(bare) < 2 or bare[0] != "stop" or len(bare) > 1 + MAX_AREA_WORDS:
        return ""
    return " ".join(bare[1:])


def _hints_at_stop(text: str, words: list[str], joined: str) -> bool:
    if not words:
        return any(sign in text for sign in _STOP_SIGNS)
    return len(words) <= MAX_HINT_WORDS and bool(_HINTS_AT_STOP.search(joined))


def _is_unsubscribe(subject: str, words: str) -> bool:
    """A subject that asks to stop over few words or none: what a mail program's own button sends."""
    asked = [word for word in plain_words(subject) if word not in ("re", "fw", "fwd")]
    most = MAX_EXPLAINED_WORDS if asked in _ONLY_MEANS_STOP else MAX_UNSUBSCRIBE_WORDS
    return is_stop(asked) and len(plain_words(words)) <= most
