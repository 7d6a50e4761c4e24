"""The strict dry run before anybody approves: the words, made and filled in for awkward people, on every channel.

What fails here is a sentence for the author; the same fault at sending would hold rows back one by one.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from uuid import UUID

from channels.base import Channel, Content, Hole, Medium
from channels.errors import CannotExpress, ChannelError
from notifier.delivery.tokens import links_of
from notifier.delivery.wording import Words, content_of
from subscribers.signing import Keys

MOST_SECONDS = 1.0
NOBODY = UUID(int=0)
AWKWARD = ((NOBODY, 0), (UUID(int=2**128 - 1), 2**16 - 1))  # the shortest and the longest personal links


class TookTooLong(Exception):
    """Making the words took longer than a second."""


@dataclass(frozen=True, kw_only=True)
class Rehearsed:
    """What became of a dry run. content: with its holes. problem: a sentence without its full stop, or nothing."""

    content: Content
    problem: str = ""


def rehearse(
    words: Words, medium: Medium, channel: Channel, people: Sequence[Mapping[str, str]]
) -> Rehearsed:
    """Make the words of a message for a channel and fill them in for each of these people. Sends nothing."""
    content = _bare(words, medium)
    try:
        with within(MOST_SECONDS):
            content = content_of(words, medium, channel)
            prepared = channel.prepare(content)
            # What a channel itself fills in at sending has a name with a dot; a template's own names hold none.
            own = {p.name: "" for p in prepared.pieces if isinstance(p, Hole) and p.name.startswith(".")}
            for values in people:
                prepared.fill({**own, **values})
    except CannotExpress as error:
        return Rehearsed(content=content, problem=str(error))
    except KeyError as error:
        return Rehearsed(
            content=content, problem=f"the template asks for “{error.args[0]}”, which nobody has"
        )
    except UnicodeEncodeError:
        return Rehearsed(content=content, problem="it holds half a character")
    except TookTooLong:
        return Rehearsed(content=content, problem="making it takes too long")
    except (ChannelError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        return Rehearsed(
            content=content, problem=f"the template is at fault ({type(error).__name__}: {error})"
        )
    return Rehearsed(content=content)


def awkward_people(keys: Keys, public_url: str) -> Sequence[Mapping[str, str]]:
    """The values of people whose personal links are as short and as long as they can be."""
    return links_of(keys, public_url, AWKWARD)


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise TookTooLong in the block when its time is over. In the main thread alone, where signals arrive."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TookTooLong

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _bare(words: Words, medium: Medium) -> Content:
    """The words as typed, to be shown where they cannot be made."""
    title, body = str(words.variables.get("title", "")), str(words.variables.get("body", ""))
    return Content(medium=medium, language=words.language, subject=title, text=body, html="")
