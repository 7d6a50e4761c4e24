"""The limited Markdown that officers write: as plain text, as safe HTML, and what is wrong with it.

Pure. Kept: paragraphs, bold, italics, lists, links, two levels of heading. Everything else, HTML
included, is shown as it was typed. The HTML passes an allow-list once more on its way out.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

import nh3
from markupsafe import Markup

from channels.base import without_holes

if TYPE_CHECKING:  # markdown-it costs a fifth of a second; pages without Markdown do not pay it
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

TAGS = {"p", "strong", "em", "ul", "ol", "li", "a", "h2", "h3", "h4", "br"}
ATTRIBUTES: dict[str, set[str]] = {"a": {"href"}, "*": set()}
SCHEMES = {"http", "https", "mailto", "tel"}

_NOT_OURS = ("image", "code", "fence", "html_block", "hr", "reference", "blockquote", "backticks", "entity")
_FIELD = re.compile(
    r"\{\{.{0,60}?\}\}|\(\(.{0,60}?\)\)|\{%.{0,60}?%\}|<%.{0,60}?%>|[$#]\{.{0,60}?\}|\{\{+|\}\}+"
)
_TARGET = re.compile(r"\]\(\s*<?([^\s)>]{1,2000})|<([A-Za-z][A-Za-z0-9+.-]{1,30}:[^\s<>]{0,2000})>")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_LONGEST_RULE = 40
_BARE_ADDRESS = re.compile(r"https?://[^\s<>()\"']{1,500}[^\s<>()\"'.,;:!?]")


def html(markdown: str, *, under: int = 1) -> Markup:
    """Safe HTML: p, strong, em, lists, links to the web, mail and telephones, two levels of heading.

    under: the level of the heading it stands below, 1 or 2. No level is left out on the way down.
    """
    parser = _parser()
    tokens = parser.parse(without_holes(markdown))
    _set_levels(tokens, under)
    for token in tokens:
        if token.children:
            token.children = list(_with_links(token.children))
    made = parser.renderer.render(tokens, parser.options, {})
    return Markup(  # noqa: S704  # nh3 has just cleaned it
        nh3.clean(made, tags=TAGS, attributes=ATTRIBUTES, attribute_filter=_checked, link_rel=None).strip()
    )


def plain(markdown: str, *, underlined: bool = False) -> str:
    """The same words without marks; a link's address follows its words in brackets.

    underlined: headings are, where there is room for it.
    """
    return "\n\n".join(_blocks(_parser().parse(without_holes(markdown)), underlined)).strip()


def check_text(markdown: str) -> list[str]:
    """What must be mended before this may be sent, one sentence each; empty where it is fine."""
    problems = [
        f"Unknown field {found}: write the words themselves"
        for found in dict.fromkeys(match[0] for match in _FIELD.finditer(markdown))
    ]
    targets = (match[1] or match[2] for match in _TARGET.finditer(markdown))
    problems += [
        f"The link {target[:60]} cannot be sent: start it with https://, mailto: or tel:"
        for target in dict.fromkeys(targets)
        if not _may_be_linked(target)
    ]
    if any(
        unicodedata.category(character) in ("Cc", "Cs") for character in markdown if character not in "\n\r\t"
    ):
        problems.append("There are hidden characters in the text: type it again, or paste it as plain text")
    return problems


def _checked(_tag: str, _attribute: str, value: str) -> str | None:
    """An address that may be linked, or nothing: then the words stay and lead nowhere."""
    return value if _may_be_linked(value) else None


def _may_be_linked(target: str) -> bool:
    scheme = _SCHEME.match(target)
    return bool(scheme and scheme[1].lower() in SCHEMES)


@cache
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt  # noqa: PLC0415  # see above

    return MarkdownIt("commonmark", {"html": False, "breaks": True}).disable(_NOT_OURS)


def _set_levels(tokens: "Sequence[Token]", under: int) -> None:
    """Headings one or two levels down, as they were typed; two only where there was one before."""
    first, second, is_below = f"h{under + 1}", f"h{under + 2}", False
    for token in tokens:
        if token.type == "heading_open":
            token.tag = second if is_below and token.tag > "h2" else first
            is_below, last = True, token.tag
        elif token.type == "heading_close":
            token.tag = last


def _with_links(tokens: "Sequence[Token]") -> "Iterator[Token]":
    """The same words, with every bare web address outside a link made one."""
    inside = 0
    for token in tokens:
        inside += {"link_open": 1, "link_close": -1}.get(token.type, 0)
        if token.type != "text" or inside:
            yield token
            continue
        end = 0
        for found in _BARE_ADDRESS.finditer(token.content):
            yield _text(token.content[end : found.start()])
            yield type(token)("link_open", "a", 1, attrs={"href": found[0]})
            yield _text(found[0])
            yield type(token)("link_close", "a", -1)
            end = found.end()
        yield _text(token.content[end:])


def _text(words: str) -> "Token":
    from markdown_it.token import Token  # noqa: PLC0415  # see above

    return Token("text", "", 0, content=words)


def _blocks(tokens: "Sequence[Token]", underlined: bool) -> Iterator[str]:
    """One string for each paragraph, heading and list."""
    is_heading = False
    lists: list[tuple[str, int]] = []
    lines: list[str] = []
    for token in tokens:
        match token.type:
            case "heading_open" | "heading_close":
                is_heading = token.type == "heading_open"
            case "bullet_list_open" | "ordered_list_open":
                start = int(token.attrGet("start") or 1) if token.type.startswith("ordered") else 0
                lists.append((token.type, start))
            case "bullet_list_close" | "ordered_list_close":
                lists.pop()
                if not lists and lines:
                    yield "\n".join(lines)
                    lines = []
            case "list_item_open":
                kind, number = lists[-1]
                lists[-1] = (kind, number + 1)
                mark = "- " if kind.startswith("bullet") else f"{number}. "
                lines.append("  " * (len(lists) - 1) + mark)
            case "inline":
                words = _inline(token.children or [])
                if not lists:
                    yield (
                        f"{words}\n{'-' * min(len(words), _LONGEST_RULE)}"
                        if is_heading and underlined
                        else words
                    )
                elif lines[-1].endswith(("- ", ". ")) and not lines[-1].strip("-. 0123456789"):
                    lines[-1] += words
                else:
                    lines.append("  " * len(lists) + words)


def _inline(tokens: "Sequence[Token]") -> str:
    words: list[str] = []
    opened: list[tuple[str, int]] = []
    for token in tokens:
        match token.type:
            case "text" | "code_inline":
                words.append(token.content)
            case "softbreak" | "hardbreak":
                words.append("\n")
            case "link_open":
                opened.append((str(token.attrGet("href") or ""), len(words)))
            case "link_close":
                href, start = opened.pop()
                shown = "".join(words[start:])
                address = href.removeprefix("mailto:").removeprefix("tel:")
                if shown not in (href, address, href.removesuffix("/")):
                    words.append(f" ({address})")
    return "".join(words)
