"""What a person can write in a text in place of a character that costs more, without changing a word.

Pure. Called by `gsm`. Letters are never here: a name in Welsh is spelled as it is spelled, whatever it costs.
"""

import unicodedata

_SPACES = "\t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_NEW_LINES = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
_NOTHING = (
    "\u00ad\u061c\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064"
    "\u2066\u2067\u2068\u2069\ufe0e\ufe0f\ufeff"
)

PLAINER = {
    **dict.fromkeys("‘’‚‛′‵`´ʹʻʼˈ‹›＇", "'"),
    **dict.fromkeys("“”„‟″‶«»ˮ〝〞＂", '"'),
    **dict.fromkeys("‐‑‒–—―−⁃•·‧∙●○▪▫◦‣⁻⸺﹘－", "-"),
    **dict.fromkeys("…⋯", "..."),
    **dict.fromkeys("⁄∕", "/"),
    **dict.fromkeys("×✕✖", "x"),
    **dict.fromkeys("⋅∗＊", "*"),
    **dict.fromkeys("➜➔→⇒", "to"),
    **dict.fromkeys(_SPACES, " "),
    **dict.fromkeys(_NEW_LINES, "\n"),
    **dict.fromkeys(_NOTHING, ""),
    "‼": "!!", "⁇": "??", "⁈": "?!", "⁉": "!?", "½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3",
    "¹": "1", "²": "2", "³": "3", "ﬁ": "fi", "ﬂ": "fl", "ﬀ": "ff", "©": "(c)", "®": "(R)", "™": "(TM)", "№": "No",
    "✓": "yes", "✔": "yes", "✗": "no", "✘": "no",
}  # fmt: skip

# Characters of the extension: two places each. The euro and the caret have no twin of one place.
CHEAPER = {"{": "(", "}": ")", "[": "(", "]": ")", "\\": "/", "|": "/", "~": "-", "\f": "\n"}

_NAMES = {
    "\t": "A tab",
    "\f": "A page break",
    "\u00a0": "A fixed space",
    "\u00ad": "A hidden hyphen",
    "\u2009": "A thin space",
    "\u202f": "A narrow space",
    "\u200c": "An invisible joiner",
    "\u200d": "An invisible joiner",
    "\u2060": "An invisible joiner",
    "\ufe0e": "An invisible mark",
    "\ufe0f": "An invisible mark",
    "\ufeff": "An invisible mark",
}
_MARKS, _PICTURES = ("Mn", "Mc", "Me"), ("So", "Sk", "Cs", "Co", "Cn")


def name(character: str) -> str:
    """The character as it can be shown in a sentence, or what it is called where it cannot be seen."""
    if character in _NAMES:
        return _NAMES[character]
    if character in _NEW_LINES:
        return "A line break"
    if character in _SPACES:
        return "A wide or thin space"
    if character in _NOTHING or unicodedata.category(character) in ("Cc", "Cf"):
        return "An invisible character"
    return f"An accent of its own ({character})" if is_mark(character) else character


def advice(character: str) -> str:
    """What to do about a character outside the alphabet: the end of a sentence; empty where nothing can be said."""
    instead = twin(character)
    if instead is not None:
        return f"write {called(instead)} instead"
    if is_mark(character):
        return "type that letter again with its accent in one"
    if character.isalpha():
        return "keep it where the word needs it"
    return "leave it out" if unicodedata.category(character) in _PICTURES else ""


def twin(character: str) -> str | None:
    """What stands for it without changing a word; none where nothing does.

    Wide, raised and ornamental forms are by Unicode (NFKC) the plain sign they look like.
    """
    if character in PLAINER:
        return PLAINER[character]
    plain = unicodedata.normalize("NFKC", character)
    is_plainer = plain.isascii() and plain.strip() and plain != character
    return plain if is_plainer and unicodedata.category(character) not in _PICTURES else None


def called(instead: str) -> str:
    """A replacement as it is read in a sentence."""
    return {"": "nothing", " ": "a space", "\n": "a new line"}.get(instead, instead)


def plainly(text: str) -> str:
    """`text` with every character that has a twin replaced by it, and each accent joined to its letter."""
    twins = ((character, twin(character)) for character in unicodedata.normalize("NFC", text))
    return "".join(character if plain is None else plain for character, plain in twins)


def is_mark(character: str) -> bool:
    """Whether it is an accent that stands apart from the letter below it."""
    return unicodedata.category(character) in _MARKS
