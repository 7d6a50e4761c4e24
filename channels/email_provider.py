"""What the channels of mail providers share: they send over the provider's SMTP end and take its web calls.

Each reads the settings of `email_smtp` under a prefix of its own, so that several can be open at once. Subclasses are
`email_ses`, `email_mailgun` and `email_postmark`; `verify` and `parse` are theirs.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from channels.base import HookReply, Outgoing, Variable
from channels.email_smtp import EmailSmtp
from channels.errors import NotConfigured

_OF_SMTP = "NOTIFIER_SMTP_"
_OF_DKIM = "NOTIFIER_DKIM_"  # a provider writes headers anew and signs itself


def smtp_variables(prefix: str) -> tuple[Variable, ...]:
    """The settings of `email_smtp`, those of its server named after the provider."""
    return tuple(
        replace(each, name=each.name.replace(_OF_SMTP, f"{prefix}SMTP_"))
        for each in EmailSmtp.variables
        if not each.name.startswith(_OF_DKIM)
    )


class EmailProvider(EmailSmtp):
    """Base of a provider's channel. prefix: of its variables. hook_queries: what its hook's address may end with."""

    prefix: ClassVar[str]
    hook_queries: ClassVar[tuple[str, ...]] = ("",)
    capabilities = replace(EmailSmtp.capabilities, receipts=True, names_attempt=True)

    def __init__(self, *of_smtp: Any, **options_of_smtp: Any) -> None:
        super().__init__(*of_smtp, **options_of_smtp)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """As `email_smtp`, and `configure` with the rest."""
        own = f"{cls.prefix}SMTP_"
        theirs = [each.name for each in EmailSmtp.variables if each.name.startswith(_OF_SMTP)]
        known = {name: env.get(name.replace(_OF_SMTP, own), "") for name in theirs}
        others = {name: value for name, value in env.items() if not name.startswith((_OF_SMTP, _OF_DKIM))}
        try:
            made = super().from_env(others | {name: value for name, value in known.items() if value})
        except NotConfigured as error:
            named = error.variable.replace(_OF_SMTP, own)
            why = str(error).partition(f"{error.variable} ")[2]
            raise NotConfigured(cls.name, named, why) from error
        made.configure(env)
        return made

    @abstractmethod
    def configure(self, env: Mapping[str, str]) -> None:
        """Read the provider's own settings. NotConfigured names the first one missing."""

    def further_headers(self, message: Outgoing) -> Mapping[str, str]:
        return {**message.headers, **self.headers_of(message)}

    @abstractmethod
    def headers_of(self, message: Outgoing) -> Mapping[str, str]:
        """Headers that tell the provider the attempt's token, and which it takes out."""

    def answer(self) -> HookReply:
        return HookReply()

    def is_called_at(self, url: str) -> bool:
        """Whether it is the address we gave out; nobody signs that."""
        parts = urlsplit(url)
        return parts.path.endswith(f"/hooks/{self.name}") and parts.query in self.hook_queries

    @classmethod
    def needed(cls, env: Mapping[str, str], name: str) -> tuple[str, ...]:
        """The words of a setting that must be there."""
        found = tuple(env.get(name, "").replace(",", " ").split())
        if not found:
            raise NotConfigured(cls.name, name)
        return found
