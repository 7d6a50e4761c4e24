"""What a resident is told about the postcode they typed: one sentence for each kind of answer.

Pages show it, the API sends it as `message`. The arguments are those of `subscribers.areas.words`.
"""

POLICE_UK = "https://www.police.uk/pu/your-area/"
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

# The police of a nation, or of an island with its own.
POLICE = {
    "scotland": "Police Scotland",
    "northern_ireland": "the Police Service of Northern Ireland",
    "jersey": "the States of Jersey Police",
    "guernsey": "Guernsey Police",
    "isle_of_man": "the Isle of Man Constabulary",
}
ISLANDS = {
    "jersey": "https://jersey.police.je/",
    "guernsey": "https://www.guernsey.police.uk/",
    "isle_of_man": "https://www.iompolice.im/",
}


def sentence(
    *,
    slug: str,
    postcode: str = "",
    ward: str = "",
    borough: str = "",
    month: str = "",
    nation: str = "",
    place: str = "",
) -> str:
    """The sentence for an answer. Raises KeyError for a slug that no answer has."""
    where = ", ".join(name for name in (ward, borough) if name)
    return {
        "found": f"{postcode} is in {where}.",
        "terminated": _terminated(postcode, where, month),
        "not_served": _not_served(postcode, borough or ward, POLICE.get(nation, "")),
        "no_place": f"{postcode} is used for post but belongs to no one place. Choose your ward from the list.",
        "unknown": f"We do not know {postcode}. Check it, or choose your ward from the list if it is a new home.",
        "suggested": f"Did you mean {postcode}?",
        "incomplete": "Enter the full postcode, for example SW1A 1AA",
        "impossible": "That is not a UK postcode",
        "elsewhere": _elsewhere(postcode, place),
    }[slug]


def link(*, slug: str, place: str = "", **_others: str) -> str:
    """Where a resident whom we do not serve finds their own team; empty if we may serve them."""
    return ISLANDS.get(place, POLICE_UK) if slug in {"not_served", "elsewhere"} else ""


def _terminated(postcode: str, where: str, month: str) -> str:
    ended = f"{postcode} is no longer used"
    if month:
        year, number = month.split("-")
        ended = f"{postcode} has not been used since {MONTHS[int(number) - 1]} {year}"
    if where:
        return f"{ended}. It was in {where}. Enter your new postcode, or choose your ward from the list."
    return f"{ended}. Enter your new postcode, or choose your ward from the list."


def _not_served(postcode: str, where: str, police: str) -> str:
    known = f"{postcode} is in {where}, which we do not cover." if where else f"We do not cover {postcode}."
    named = f" Your police are {police}." if police else ""
    return f"{known}{named} Find your local team on police.uk."


def _elsewhere(postcode: str, place: str) -> str:
    if place in POLICE:
        return f"We do not cover {postcode}. Your police are {POLICE[place]}."
    if place == "forces":
        return (
            f"{postcode} is a British Forces address. If you live in the UK, enter the postcode of your home."
        )
    if place == "nowhere":
        return f"{postcode} is used for post but belongs to no place. Enter the postcode of your home."
    return f"{postcode} is outside the UK. If you live in the UK, enter the postcode of your home."
