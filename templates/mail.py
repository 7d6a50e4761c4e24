"""What only mail needs of rendered words: styles where every mail program obeys them, and plain text in short lines.

Pure. Called by `render` once for a message in a language; holes come through both unharmed.
"""

import re
import textwrap
from functools import cache

import css_inline

WIDTH = 72  # of a line, so that it still fits when it is quoted once or twice (RFC 3676 §4.2)
BEGINNING = 140  # what mail programs show of a mail in their lists
_INDENT = re.compile(r"[ \t]*(?:[-*•] |\d{1,9}\. )?")


def with_inline_styles(html: str) -> str:
    """The rules of its style sheet put into the tags they fit; what is behind @media stays in the head.

    The character set goes first, for whoever opens the part as a file reads it in the first 1,024 octets alone.
    """
    return _inliner().inline(html).replace("<head>", '<head><meta charset="utf-8">\n', 1)


def in_short_lines(text: str) -> str:
    """The same words in lines of at most 72 characters, addresses kept whole, list items indented below their mark."""
    return "\n".join(line for long in text.split("\n") for line in _folded(long.rstrip()))


def beginning(text: str) -> str:
    """The first words of a text on one line."""
    return textwrap.shorten(text, BEGINNING, placeholder=" …", break_long_words=False, break_on_hyphens=False)


def _folded(line: str) -> list[str]:
    if len(line) <= WIDTH:
        return [line]
    found = _INDENT.match(line)
    indent = " " * len(found[0] if found else "")
    return textwrap.wrap(
        line,
        WIDTH,
        subsequent_indent=indent,
        expand_tabs=False,
        replace_whitespace=False,
        break_long_words=False,
        break_on_hyphens=False,
    )


@cache
def _inliner() -> css_inline.CSSInliner:
    return css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)
