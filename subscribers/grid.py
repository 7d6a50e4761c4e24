"""The British National Grid: its squares of 250 m, and the way from it to latitude and longitude. Pure.

`places` keeps a person's square beside the sealed postcode. `to_lat_long` is called by the reader of
postcode files that carry no latitude (Code-Point Open). Inverse transverse
Mercator on the Airy 1830 ellipsoid, then the seven-parameter Helmert shift to WGS84: Ordnance Survey,
"A guide to coordinate systems in Great Britain", annexes B and C. Right to about 5 metres.
"""

from math import atan2, cos, degrees, radians, sin, sqrt, tan

CELL_METRES = 250

AIRY_A, AIRY_B = 6_377_563.396, 6_356_256.909  # metres
WGS84_A, WGS84_B = 6_378_137.0, 6_356_752.3142
SCALE = 0.9996012717
LAT_0, LONG_0 = radians(49), radians(-2)
EASTING_0, NORTHING_0 = 400_000, -100_000  # metres

SHIFT = (446.448, -125.157, 542.060)  # metres
ROTATION = (radians(0.1502 / 3600), radians(0.2470 / 3600), radians(0.8421 / 3600))
GROWTH = -20.4894e-6

_N = (AIRY_A - AIRY_B) / (AIRY_A + AIRY_B)
_E2 = 1 - (AIRY_B / AIRY_A) ** 2
_WGS84_E2 = 1 - (WGS84_B / WGS84_A) ** 2


def cell_of(easting: int, northing: int) -> tuple[int, int]:
    """The square a point lies in: (east, north) of its south-west corner, in squares."""
    return easting // CELL_METRES, northing // CELL_METRES


def in_cells(metres: float) -> float:
    """A coordinate so that a square's own number stands for its centre: for distances between squares."""
    return metres / CELL_METRES - 0.5


def to_lat_long(easting: int, northing: int) -> tuple[float, float]:
    """WGS84 degrees of a point of the National Grid (OSGB36, metres), to six decimals."""
    lat, long = _on_airy(easting, northing)
    return _to_wgs84(lat, long)


def _on_airy(easting: float, northing: float) -> tuple[float, float]:
    """Radians on Airy 1830. The names of the terms are those of the guide's annexe C.2."""
    lat = LAT_0 + (northing - NORTHING_0) / (AIRY_A * SCALE)
    while abs(miss := northing - NORTHING_0 - _meridional_arc(lat)) >= 0.00001:
        lat += miss / (AIRY_A * SCALE)
    sin2 = sin(lat) ** 2
    nu = AIRY_A * SCALE / sqrt(1 - _E2 * sin2)
    rho = AIRY_A * SCALE * (1 - _E2) / (1 - _E2 * sin2) ** 1.5
    eta2 = nu / rho - 1
    t, sec, e = tan(lat), 1 / cos(lat), easting - EASTING_0
    vii = t / (2 * rho * nu)
    viii = t / (24 * rho * nu**3) * (5 + 3 * t**2 + eta2 - 9 * t**2 * eta2)
    ix = t / (720 * rho * nu**5) * (61 + 90 * t**2 + 45 * t**4)
    x = sec / nu
    xi = sec / (6 * nu**3) * (nu / rho + 2 * t**2)
    xii = sec / (120 * nu**5) * (5 + 28 * t**2 + 24 * t**4)
    xiia = sec / (5040 * nu**7) * (61 + 662 * t**2 + 1320 * t**4 + 720 * t**6)
    return lat - vii * e**2 + viii * e**4 - ix * e**6, LONG_0 + x * e - xi * e**3 + xii * e**5 - xiia * e**7


def _meridional_arc(lat: float) -> float:
    d, s = lat - LAT_0, lat + LAT_0
    return (AIRY_B * SCALE) * (
        (1 + _N + 1.25 * _N**2 + 1.25 * _N**3) * d
        - (3 * _N + 3 * _N**2 + 2.625 * _N**3) * sin(d) * cos(s)
        + (1.875 * _N**2 + 1.875 * _N**3) * sin(2 * d) * cos(2 * s)
        - 35 / 24 * _N**3 * sin(3 * d) * cos(3 * s)
    )


def _to_wgs84(lat: float, long: float) -> tuple[float, float]:
    """Helmert's shift, by way of geocentric coordinates. Heights are taken as nought."""
    nu = AIRY_A / sqrt(1 - _E2 * sin(lat) ** 2)
    x, y, z = nu * cos(lat) * cos(long), nu * cos(lat) * sin(long), (1 - _E2) * nu * sin(lat)
    (tx, ty, tz), (rx, ry, rz), grown = SHIFT, ROTATION, 1 + GROWTH
    x, y, z = (
        tx + grown * x - rz * y + ry * z,
        ty + rz * x + grown * y - rx * z,
        tz - ry * x + rx * y + grown * z,
    )
    p = sqrt(x * x + y * y)
    lat = atan2(z, p * (1 - _WGS84_E2))
    for _ in range(3):  # converges below a millimetre
        nu = WGS84_A / sqrt(1 - _WGS84_E2 * sin(lat) ** 2)
        lat = atan2(z + _WGS84_E2 * nu * sin(lat), p)
    return round(degrees(lat), 6), round(degrees(atan2(y, x)), 6)
