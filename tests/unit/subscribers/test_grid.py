"""Grid points whose latitude and longitude the Ordnance Survey and the ONS publish."""

from math import cos, hypot, radians

import pytest

from subscribers.grid import to_lat_long

METRES_A_DEGREE = 111_320


@pytest.mark.parametrize(
    ("easting", "northing", "lat", "long"),
    [
        (529090, 179645, 51.501009, -0.141588),  # Buckingham Palace
        (385386, 801193, 57.101474, -2.242851),  # Aberdeen
        (383850, 398602, 53.483885, -2.244839),  # Manchester
        (514600, 206900, 51.749084, -0.341337),  # St Albans
        (527242, 189204, 51.587332, -0.164744),  # East Finchley
    ],
)
def test_a_grid_point_lands_within_ten_metres(easting: int, northing: int, lat: float, long: float) -> None:
    found_lat, found_long = to_lat_long(easting, northing)
    north = (found_lat - lat) * METRES_A_DEGREE
    east = (found_long - long) * METRES_A_DEGREE * cos(radians(lat))
    assert hypot(north, east) < 10


def test_going_north_and_east_goes_north_and_east() -> None:
    lat, long = to_lat_long(530_000, 180_000)
    assert to_lat_long(530_000, 181_000)[0] > lat
    assert to_lat_long(531_000, 180_000)[1] > long
