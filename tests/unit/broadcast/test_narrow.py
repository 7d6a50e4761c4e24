"""What narrows an audience is refused with a sentence for its field, before any row is read."""

import pytest

from notifier.broadcast.narrow import Draw, Narrow, Near, check

HOME = "SE5 9AA"


@pytest.mark.parametrize(
    ("field", "narrowed"),
    [
        ("languages", Narrow(languages=("en", "xx"))),
        ("postcodes", Narrow(postcodes=(HOME, "nonsense"))),
        ("postcodes", Narrow(postcodes=("SE5",))),
        ("postcodes", Narrow(postcodes=(HOME,) * 1_001)),
        ("near", Narrow(near=Near(metres=0, postcode=HOME))),
        ("near", Narrow(near=Near(metres=50_001, postcode=HOME))),
        ("near", Narrow(near=Near(metres=100, postcode="SE5"))),
        ("near", Narrow(near=Near(metres=100, easting=5))),
        ("near", Narrow(near=Near(metres=100, easting=-1, northing=5))),
        ("near", Narrow(near=Near(metres=100, easting=700_000, northing=5))),
        ("near", Narrow(near=Near(metres=100, postcode=HOME, easting=1, northing=5))),
        ("sample", Narrow(sample=Draw(size=0))),
        ("sample", Narrow(sample=Draw(size=1, seed=-1))),
        ("sample", Narrow(sample=Draw(size=1, seed=2**31))),
    ],
)
def test_what_cannot_be_is_said_by_field(field: str, narrowed: Narrow) -> None:
    assert list(check(narrowed)) == [field]


def test_what_can_be_is_let_through() -> None:
    assert not check(Narrow())
    assert not check(
        Narrow(
            languages=("cy",),
            postcodes=("se59aa",),
            near=Near(metres=50_000, easting=0, northing=0),
            sample=Draw(size=10**7, seed=0),
        )
    )
