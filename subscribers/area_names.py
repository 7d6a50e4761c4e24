"""Reads code lists: which name belongs to which area code, under whatever headings. For `areas import`.

Knows any CSV with a header whose columns come in pairs: `code,name`, `ward_code,ward_name`,
`LAD24CD,LAD24NM`, also many pairs in one file.
"""

from pathlib import Path

from subscribers.postcode_files import NotAPostcodeFile, opened_text, plain


class NotANamesFile(Exception):
    """The file holds no pair of columns with codes and names."""


def read(path: Path) -> dict[str, str]:
    """Code → name. Raises NotANamesFile."""
    try:
        with opened_text(path) as lines:
            header = next(lines, [])
            pairs = _pairs(header)
            if not pairs:
                raise NotANamesFile(
                    f"{path.name} has no pair of columns such as code and name, ward_code and ward_name, "
                    f"or LAD24CD and LAD24NM. Its first line: {', '.join(header)[:200]}"
                )
            return {
                cells[code].strip(): cells[name].strip()
                for cells in lines
                for code, name in pairs
                if len(cells) > max(code, name) and cells[code].strip() and cells[name].strip()
            }
    except NotAPostcodeFile as error:  # no CSV text at all
        raise NotANamesFile(str(error)) from error


def _pairs(header: list[str]) -> list[tuple[int, int]]:
    """(place of the code, place of the name) for each stem that has both."""
    places = {plain(heading): place for place, heading in enumerate(header)}
    return [
        (place, places[stem + name])
        for heading, place in places.items()
        for code, name in (("code", "name"), ("cd", "nm"))
        if heading.endswith(code) and (stem := heading.removesuffix(code)) + name in places
    ]
