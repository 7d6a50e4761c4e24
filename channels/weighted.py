"""The weighted length of a post on X.

Pure. Called by `social_x` and, through estimates, by the compose page.
Rule: version 3 of X's published counting: a character weighs 1 in the Latin and near ranges and
2 elsewhere, an emoji of any make 2, an address on the web 23; at most 280.
"""

import re
import unicodedata
from dataclasses import dataclass

MAX_LENGTH = 280
LINK_LENGTH = 23
LONGEST_LINK = 4096  # longer is counted as plain text
LIGHT = ((0, 4351), (8192, 8205), (8208, 8223), (8242, 8247))  # code points that weigh 1


@dataclass(frozen=True, kw_only=True)
class PostSize:
    """What one post measures, in X's own unit; links: how many addresses were counted as one."""

    length: int
    links: int
    limit: int = MAX_LENGTH

    @property
    def fits(self) -> bool:
        return 0 < self.length <= self.limit


def measure(text: str) -> PostSize:
    """The weighted length of `text`, which is composed (NFC) before it is counted."""
    composed = unicodedata.normalize("NFC", text)
    length = at = links = 0
    for start, end in _links(composed):
        length += _weigh(composed[at:start]) + LINK_LENGTH
        links += 1
        at = end
    return PostSize(length=length + _weigh(composed[at:]), links=links)


def _weigh(text: str) -> int:
    """Weight of text that holds no link."""
    emoji = 0
    if not text.isascii():
        text, emoji = EMOJI.subn("", text)
    return emoji * 2 + sum(1 if _is_light(ord(character)) else 2 for character in text)


def _is_light(point: int) -> bool:
    return any(first <= point <= last for first, last in LIGHT)


# --- Emoji ------------------------------------------------------------------------------
# Grammar of Unicode Technical Standard 51, §1.4.9. One that stands alone weighs 2 by its range
# already, so the classes need only hold what can begin or continue a sequence.

_TONE = "\U0001f3fb-\U0001f3ff"
_PICTURE = (
    "\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u23ff\u24c2\u25aa-\u25fe\u2600-\u27bf\u2934-\u2935"
    "\u2b05-\u2b55\u3030\u303d\u3297\u3299\U0001f004\U0001f0cf\U0001f170-\U0001f19a"
    "\U0001f201-\U0001f251\U0001f300-\U0001f3fa\U0001f400-\U0001faff"
)
_ELEMENT = f"(?:[{_PICTURE}][{_TONE}\ufe0f]?|[{_TONE}])"
_FLAG = "[\U0001f1e6-\U0001f1ff]"
EMOJI = re.compile(
    f"\U0001f3f4[\U000e0061-\U000e007a]{{1,6}}\U000e007f"  # the flags of England, Scotland and Wales
    f"|{_FLAG}{_FLAG}"
    "|[0-9#*]\ufe0f?\u20e3"  # a key cap
    "|[\u00a9\u00ae]\ufe0f"
    f"|{_ELEMENT}(?:\u200d{_ELEMENT})*"
)

# --- Links ------------------------------------------------------------------------------
# With http(s):// in any domain that could exist; without, only where the last label is a known
# top-level domain: every country's, and the generic ones in common use.

_GENERIC = (
    "academy aero agency app art asia associates bank bar berlin best bike bio biz blog business buzz cab cafe "
    "camera camp capital care careers cash cat center charity chat church city click clinic cloud club coach codes "
    "coffee college com community company computer construction consulting contact cool coop country credit cymru "
    "dance date dating deals delivery design dev digital direct directory doctor dog domains earth eco education "
    "email energy engineer engineering enterprises equipment estate events exchange expert express family fans farm "
    "fashion film finance financial fish fit fitness flights fm football foundation fun fund fyi gallery games garden gift glass "
    "global gold golf gop gov graphics green group guide guru health help holiday homes horse host hosting house how info ink "
    "institute insure int international io irish jobs kitchen land law lawyer legal life lighting limited link live "
    "loan lol london love ltd maison management map market marketing media memorial men menu mil mobi moda moe money "
    "movie museum name net network news ngo ninja nyc one ong online org page paris partners parts party pet pharmacy "
    "photo photography photos pics pictures pink pizza place plumbing plus poker police post press pro productions "
    "properties property pub quest recipes red rent rentals repair report rest restaurant reviews rip rocks run sale "
    "salon school science scot security services sex shoes shop shopping show singles site ski social software solar "
    "solutions space sport store stream studio style supplies supply support surf surgery systems tax taxi team tech "
    "technology tel theater tips tires today tokyo tools top tours town toys trade training travel university vacations "
    "ventures vet video villas vision vote voyage wales watch webcam website wedding wiki win wine work works world "
    "wtf xxx xyz yoga zone edu"
)
_COUNTRY = (
    "ac ad ae af ag ai al am an ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bv bw by bz ca "
    "cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr ga "
    "gb gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo jp "
    "ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt "
    "mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru "
    "rw sa sb sc sd se sg sh si sj sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw "
    "tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw"
)
_KNOWN = "|".join(sorted({*_GENERIC.split(), *_COUNTRY.split()}, key=len, reverse=True))
_ENDS = r"(?![0-9A-Za-zÀ-ÖØ-öø-ɏ@＠+-])"
_BARE_LABEL = r"[0-9A-Za-zÀ-ÖØ-öø-ɏ](?:[0-9A-Za-zÀ-ÖØ-öø-ɏ_-]{0,61}[0-9A-Za-zÀ-ÖØ-öø-ɏ])?"
_BARE = rf"(?:{_BARE_LABEL}\.){{1,10}}(?:{_KNOWN}){_ENDS}"
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_TOP = rf"(?:{_KNOWN}|xn--[0-9a-z]{{2,59}}|[^\W\d_]{{2,24}})"
_FULL = rf"https?://(?:{_LABEL}\.){{1,10}}{_TOP}{_ENDS}"
_IN_PATH = r"[A-Za-zА-яÀ-ÖØ-öø-ɏ0-9!*';:=+,.$/%#\[\]\-\u2013_~@|&]"
_LAST_IN_PATH = r"[A-Za-zА-яÀ-ÖØ-öø-ɏ0-9=_#/+\-]"
_PATH = rf"(?:/(?:(?:{_IN_PATH}|\([^()\s]{{1,400}}\)){{0,2000}}(?:{_LAST_IN_PATH}|\([^()\s]{{1,400}}\)))?)?"
_QUERY = r"(?:\?[A-Za-z0-9!?*'@();:&=+$/%#\[\]\-_.,~|]{0,2000}[A-Za-z0-9\-_&=#/])?"
_BEFORE = r"(?<![A-Za-z0-9@＠$#＃\u202a-\u202e])"
_LINK = re.compile(
    rf"{_BEFORE}(?P<full>{_FULL})(?::[0-9]+)?{_PATH}{_QUERY}"
    rf"|{_BEFORE}(?<![-_./])(?P<bare>{_BARE})(?::[0-9]+)?{_PATH}{_QUERY}",
    re.IGNORECASE,
)


def _links(text: str) -> list[tuple[int, int]]:
    """Where each link begins and ends."""
    if "." not in text:
        return []
    return [
        found.span()
        for found in _LINK.finditer(text)
        if found.end() - found.start() <= LONGEST_LINK and _labels_are_short(found["full"] or found["bare"])
    ]


def _labels_are_short(host: str) -> bool:
    """No label over 63 octets once in its ASCII form (RFC 5890 §2.3.2.1)."""
    labels = host.rpartition("/")[2].split(".")
    return all(len(label if label.isascii() else f"xn--{_punycode(label)}") <= 63 for label in labels)


def _punycode(label: str) -> str:
    return label.encode("punycode").decode("ascii")
