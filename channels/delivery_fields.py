"""The fields of a delivery report (RFC 3464), in their own part or written into the text of a mail.

Pure. Called by `reports`. Reads what is there rather than what should be: blank lines in the wrong place, fields in any
order, several recipients in one block. A recipient that is no address (X.400, an internal name, a source route) is
looked for in the other recipient fields.
Sources: RFC 3464 §2.3, 6533 §3 (addresses in other scripts), 3461 §4 (xtext).
"""

import re
from base64 import b64decode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from email.message import Message

from channels.bounce_reasons import Failure, reason_of
from channels.mailtree import inside, octets

MAX_FIELD_LINES = 4_000
_FIELD = re.compile(
    r"(?i)(final-recipient|original-recipient|x-actual-recipient|action|status|diagnostic-code|x-display-name|x-supplementary-info)\s{0,8}:\s?(.{0,2000})"
)
_ANY_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,60}:")
_TYPED = re.compile(r"\s{0,8}[A-Za-z0-9.-]{1,40}\s{0,8};\s{0,8}(.*)")
_LOCAL = r"(?:\"[^\"\r\n]{1,64}\"|[^\s<>;,:\"()\[\]\\@]{1,128})"
ADDRESS = re.compile(rf"{_LOCAL}@[^\s<>;,:\"()\[\]\\@']{{1,255}}")
_HEX = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}")
_XTEXT = re.compile(r"\+([0-9A-F]{2})")
_ARRIVED = frozenset({"delivered", "relayed", "expanded", "deliverable"})
_RECIPIENTS = ("final-recipient", "x-actual-recipient", "original-recipient")


@dataclass(frozen=True, kw_only=True)
class Bounce:
    """One recipient whom a mail did not reach. status: RFC 3463, made up from the words where none was given.

    permanent: it was given up for a reason that will not pass. delayed: it is still being tried.
    """

    recipient: str
    status: str
    permanent: bool
    delayed: bool = False
    failure: Failure = Failure.OTHER


@dataclass(kw_only=True)
class _Block:
    fields: dict[str, str] = field(default_factory=dict)

    def takes(self, name: str) -> bool:
        """Does this field belong to the same recipient?"""
        return name not in self.fields

    @property
    def is_whole(self) -> bool:
        return any(name in self.fields for name in _RECIPIENTS) and (
            "action" in self.fields or "status" in self.fields
        )


def of_part(part: Message) -> list[Bounce]:
    """The failed or delayed recipients of a part of the kind delivery-status."""
    return of_text(lines_of(part))


def of_text(text: str) -> list[Bounce]:
    """The same, of fields that stand in any text."""
    found = (_bounce(block) for block in _blocks(text.split("\n")[:MAX_FIELD_LINES]))
    return [bounce for bounce in found if bounce is not None]


def says_delivered(part: Message) -> bool:
    """Does it say of a recipient that the mail arrived, was handed on, or went to a list? Nobody asked, and nothing failed."""
    blocks = _blocks(lines_of(part).split("\n")[:MAX_FIELD_LINES])
    return any(_action(block) in _ARRIVED for block in blocks)


def lines_of(part: Message) -> str:
    """The words of a part that the library takes for blocks of headers, as they were written."""
    if not part.is_multipart():
        return octets(part).decode("utf-8", "replace")
    lines: list[str] = []
    for block in inside(part)[:MAX_FIELD_LINES]:
        lines += [f"{name}: {value}" for name, value in block.raw_items()]
        lines += [octets(block)[:20_000].decode("utf-8", "replace"), ""]
    text = "\n".join(lines)
    if str(part.get("Content-Transfer-Encoding", "")).strip().lower() != "base64":
        return text
    try:  # not allowed (RFC 3464 §2.1), and done
        return b64decode("".join(text.split())).decode("utf-8", "replace")
    except ValueError:
        return text


def address_in(value: str) -> str:
    """The address in `rfc822; sam@example.com`, in lower case; nothing where it is none that mail can be sent to."""
    typed = _TYPED.match(value)
    bare = (typed[1] if typed else value).strip()
    bare = _HEX.sub(lambda found: _letter(found[1]), bare)
    if "@" not in bare and "+40" in bare:
        bare = _XTEXT.sub(lambda found: chr(int(found[1], 16)), bare)
    if bare.lstrip("<").startswith("@"):  # a source route, or a domain alone
        return ""
    return clean_address(bare)


def clean_address(text: str) -> str:
    """The first address in a text, in lower case, without the punctuation around it."""
    found = ADDRESS.search(text[:1_000])
    if not found:
        return ""
    local, _, domain = found[0].rpartition("@")
    local, domain = local.lstrip("'`*>="), domain.rstrip(".'`*!?:=-").lower()
    return f"{local.lower()}@{domain}" if local and domain and not local.startswith("/") else ""


def returned_to(parts: Iterable[Message]) -> tuple[str, ...]:
    """Recipients of the mail that came back, where it is a part of its own."""
    for part in parts:
        if part.get_content_type() == "message/rfc822" and (returned := inside(part)):
            value = str(returned[0].get("To", ""))[:2_000]
        elif part.get_content_type() == "text/rfc822-headers":
            found = re.search(r"(?im)^to:(.{1,1000})", octets(part)[:50_000].decode("utf-8", "replace"))
            value = found[1] if found else ""
        else:
            continue
        return tuple(filter(None, (clean_address(each.rpartition("<")[2]) for each in value.split(","))))
    return ()


def _letter(code: str) -> str:
    value = int(code, 16)
    return chr(value) if value < 0x110000 and not 0xD800 <= value < 0xE000 else ""


def _blocks(lines: Iterable[str]) -> Iterator[_Block]:
    block, last = _Block(), ""
    for line in lines:
        found = _FIELD.match(line)
        if found is None:
            if line[:1] in (" ", "\t") and last and len(block.fields[last]) < 4_000:
                block.fields[last] += " " + line.strip()[:1_000]
            elif not line.strip() and block.is_whole:
                yield block
                block, last = _Block(), ""
            else:
                last = ""
            continue
        name = found[1].lower()
        if not block.takes(name):
            yield block
            block = _Block()
        block.fields[name], last = found[2].strip(), name
    yield block


def _bounce(block: _Block) -> Bounce | None:
    fields, action = block.fields, _action(block)
    if not block.is_whole or action in _ARRIVED:
        return None
    status = fields.get("status", "")
    if not action and status.startswith("2"):
        return None
    recipient = _best([address_in(fields[name]) for name in _RECIPIENTS if name in fields])
    if not recipient:
        return None
    delayed = action == "delayed"
    words = f"{fields.get('diagnostic-code', '')} {fields.get('x-supplementary-info', '')}"
    reason = reason_of(status, words, delayed=delayed)
    return Bounce(
        recipient=recipient,
        status=reason.status,
        permanent=reason.permanent,
        delayed=delayed,
        failure=reason.failure,
    )


def _action(block: _Block) -> str:
    return re.split(r"[\s(;]", block.fields.get("action", "").strip().lower())[0]


def _best(addresses: list[str]) -> str:
    """The first with a domain of the public net, else the first."""
    known = [address for address in addresses if address]
    public = [address for address in known if "." in address.rpartition("@")[2]]
    return next(iter(public or known), "")
