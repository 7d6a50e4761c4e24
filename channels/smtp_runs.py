"""The mails of one run over one connection, made when each can go, for `email_smtp`.

An errand that was taken is ended once, whatever happens to the connection: it went, it was refused before anything was
said, or there was no connection for it.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from channels.base import Errand, Outcome, Outgoing, Refusal, Refused
from channels.smtp_pipeline import Mail
from channels.smtp_pool import Places

NO_OTHER_LETTERS = "our mail server takes no addresses with letters outside ASCII (SMTPUTF8)"


@dataclass(slots=True)
class OwnMail(Mail):
    """is_again: a connection that had been kept was lost beneath it before the text, which costs no attempt."""

    errand: Errand
    own_id: str
    is_again: bool = False


class Mails:
    """The mails of one run, made one by one. What cannot be written is refused at once."""

    def __init__(
        self,
        make: Callable[[Errand], OwnMail | Refused],
        following: Callable[[], Errand | None],
        place: Places,
        *,
        most: int,
    ) -> None:
        """most: of them, where others wait for the place."""
        self._make, self._following, self._place, self._left = make, following, place, most
        self._is_over = False
        self._back: deque[OwnMail] = deque()

    def next(self) -> OwnMail | None:
        if self._back:
            return self._back.popleft()
        while self._goes_on and (errand := self._following()) is not None:
            self._left -= 1
            mail = self._make(errand)
            if isinstance(mail, OwnMail):
                return mail
            errand.ended(mail)
        self._is_over = True
        return None

    def next_in_ascii(self) -> OwnMail | None:
        """The next for a server that knows no other letters in an address (RFC 6531 §3.2); others are refused."""
        while (mail := self.next()) is not None and not mail.to.isascii():
            mail.errand.ended(Refused(why=Refusal.BAD_ADDRESS, reason=NO_OTHER_LETTERS))
        return mail

    @property
    def _goes_on(self) -> bool:
        return not self._is_over and (self._left > 0 or not self._place.waiting)

    def back(self, mail: OwnMail) -> None:
        """It is to go after all, before the others."""
        self._back.append(mail)

    def fail(self, mail: OwnMail, outcome: Outcome) -> None:
        """There is no connection for it, nor for what went back; take no more."""
        self._is_over = True
        for each in (mail, *self._back):
            each.errand.ended(outcome)
        self._back.clear()


class Alone:
    """The only errand of its run."""

    def __init__(self, message: Outgoing) -> None:
        self.message, self._is_taken = message, False
        self.outcome: Outcome

    def next(self) -> Errand | None:
        if self._is_taken:
            return None
        self._is_taken = True
        return self

    def ended(self, outcome: Outcome) -> None:
        self.outcome = outcome
