"""The sentence for each answer to a postcode."""

import pytest

from subscribers import areas
from subscribers.areas import Found, NamedArea, NoPlace, NotServed, Result, Terminated, UnknownPostcode
from subscribers.postcodes import Elsewhere, Impossible, Incomplete, Nation, Place, Suggested
from templates import lookup

MILL, NORTH = NamedArea(code="E05990001", name="Mill"), NamedArea(code="E09900001", name="Northby")
TERMINATED = Terminated(
    postcode="ZE90 1AA", month="2015-04", ward=MILL, borough=NORTH, served=True, lat=None, long=None
)


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (
            Found(postcode="ZE90 1AA", ward=MILL, borough=NORTH, lat=1, long=1, easting=1, northing=1),
            "ZE90 1AA is in Mill, Northby.",
        ),
        (TERMINATED, "has not been used since April 2015. It was in Mill, Northby."),
        (
            NotServed(postcode="M1 1AE", borough=NORTH),
            "M1 1AE is in Northby, which we do not cover. Find your",
        ),
        (NotServed(postcode="EH1 1YZ", nation=Nation.SCOTLAND), "Your police are Police Scotland."),
        (NotServed(postcode="BT1 5GS", nation=Nation.NORTHERN_IRELAND), "Police Service of Northern Ireland"),
        (NoPlace(postcode="N90 1AB"), "Choose your ward from the list"),
        (UnknownPostcode(postcode="N90 9ZZ"), "We do not know N90 9ZZ."),
        (Suggested("N90 1AA"), "Did you mean N90 1AA?"),
        (Incomplete(), "Enter the full postcode, for example SW1A 1AA"),
        (Impossible(), "That is not a UK postcode"),
        (Elsewhere("JE2 3AB", Place.JERSEY), "Your police are the States of Jersey Police."),
        (Elsewhere("BF1 2AA", Place.FORCES), "British Forces"),
        (Elsewhere("BX5 5AT", Place.NOWHERE), "belongs to no place"),
        (Elsewhere("ASCN 1ZZ", Place.OVERSEAS), "outside the UK"),
    ],
)
def test_every_answer_has_its_own_sentence(result: Result, says: str) -> None:
    assert says in lookup.sentence(**areas.words(result))


def test_only_those_we_cannot_serve_are_sent_elsewhere() -> None:
    assert lookup.link(**areas.words(NotServed(postcode="M1 1AE"))).startswith("https://www.police.uk/")
    assert lookup.link(**areas.words(Elsewhere("GY1 1AA", Place.GUERNSEY))).endswith("guernsey.police.uk/")
    assert lookup.link(**areas.words(TERMINATED)) == ""
    assert lookup.link(**areas.words(Impossible())) == ""
