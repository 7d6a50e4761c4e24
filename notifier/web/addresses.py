"""Addresses as people type them into a form: normal spelling, or the one sentence that helps.

Pure. Called by sign-up (pages and API) and by the preferences page. The spelling itself is of
`channels.addresses`; here stands what only a form needs: typing slips, and boxes nobody reads.
"""

from channels import addresses
from channels.errors import BadAddress

# The mail services most residents use; a near miss of one is almost surely a slip.
COMMON_DOMAINS = (
    "gmail.com", "googlemail.com", "hotmail.com", "hotmail.co.uk", "outlook.com", "live.co.uk", "live.com",
    "msn.com", "yahoo.com", "yahoo.co.uk", "ymail.com", "icloud.com", "me.com", "mac.com", "aol.com",
    "btinternet.com", "sky.com", "talktalk.net", "virginmedia.com", "ntlworld.com", "blueyonder.co.uk",
    "protonmail.com", "proton.me", "mail.com", "gmx.com", "gmx.co.uk", "aol.co.uk",
)  # fmt: skip
NOBODY_READS = frozenset(
    ("abuse", "bounce", "bounces", "donotreply", "do-not-reply", "hostmaster", "mailer-daemon", "no-reply",
     "no_reply", "nobody", "noreply", "postmaster", "root", "webmaster")
)  # fmt: skip
MOST_EDITS = 2


def email(text: str, *, our_domain: str) -> str:
    """The normal spelling of an email address. Raises BadAddress with the sentence to show."""
    spelling = addresses.email(text)
    local, _, domain = spelling.partition("@")
    if local.partition("+")[0] in NOBODY_READS or domain == our_domain.lower():
        raise BadAddress(addresses.USE_ANOTHER_EMAIL)
    return spelling


def mobile(text: str) -> str:
    """The normal spelling of a UK mobile number. Raises BadAddress with the sentence to show."""
    return addresses.uk_mobile(text)


def likely_meant(address: str) -> str | None:
    """The address somebody most likely meant where its domain is a near miss of a common one."""
    local, _, domain = address.rpartition("@")
    if not local or domain in COMMON_DOMAINS:
        return None
    near = [(_edits(domain, known), known) for known in COMMON_DOMAINS if abs(len(domain) - len(known)) <= 2]
    near = [pair for pair in near if pair[0] <= (1 if len(pair[1]) < 9 else MOST_EDITS)]
    return f"{local}@{min(near)[1]}" if near else None


def _edits(one: str, other: str) -> int:
    """Optimal string alignment distance: insertions, deletions, changes, and neighbours swapped."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        older, before, row = before, row, [i]
        for j, target in enumerate(other, start=1):
            cost = min(row[j - 1] + 1, before[j] + 1, before[j - 1] + (letter != target))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == target:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
    return row[-1]
