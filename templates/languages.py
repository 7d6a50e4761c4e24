"""The languages residents may choose, each under its own name, and which way they are read.

Pure. Called by the pages that offer a choice, and by `render` for `lang` and `dir`.
"""

from collections.abc import Mapping

ENGLISH = "en"
NAMES: Mapping[str, str] = {
    "en": "English",
    "cy": "Cymraeg",
    "ar": "العربية",
    "bn": "বাংলা",
    "es": "Español",
    "fr": "Français",
    "gu": "ગુજરાતી",
    "pa": "ਪੰਜਾਬੀ",
    "pl": "Polski",
    "pt": "Português",
    "ro": "Română",
    "so": "Soomaali",
    "ta": "தமிழ்",
    "tr": "Türkçe",
    "ur": "اردو",
}
RIGHT_TO_LEFT = frozenset({"ar", "fa", "he", "ps", "ur", "yi"})


def direction(language: str) -> str:
    """`rtl` or `ltr`, for a `dir` attribute."""
    return "rtl" if language.partition("-")[0] in RIGHT_TO_LEFT else "ltr"
