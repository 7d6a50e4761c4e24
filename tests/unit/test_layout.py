"""What every checkout must be, whatever the code does: READMEs, no lock file, no machine's own names."""

import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Joined here, so that this file does not hold what it forbids.
REGISTRIES = [".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"))]
REGISTRIES += [
    ".".join(parts) for parts in (("crates", "io"), ("rubygems", "org"), ("proxy", "golang", "org"))
]
MACHINE_PATHS = ["/".join(("", *parts, "")) for parts in (("work", "main"), ("work", "shared"), ("root",))]
MACHINE_PATHS += [
    "/".join(("", *parts, "")) for parts in (("opt", "pypi"), ("home", "user"), ("Users", "me"))
]


@cache
def tracked_files() -> tuple[Path, ...]:
    """What git keeps; also where the checkout belongs to somebody else."""
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file())


@pytest.mark.parametrize("folder", ["notifier", "channels", "subscribers", "templates", "tests"])
def test_each_folder_has_a_readme_that_says_why_it_exists(folder: str) -> None:
    readme = ROOT / folder / "README.md"
    assert readme in tracked_files()
    assert len(readme.read_text().split()) > 50


def test_the_table_of_channels_names_every_file_there() -> None:
    named = set(re.findall(r"`(\w+\.py)`", (ROOT / "channels" / "README.md").read_text()))
    there = {
        file.name for file in tracked_files() if file.parent == ROOT / "channels" and file.suffix == ".py"
    }
    assert there - named == {"__init__.py"}


def test_the_lock_file_is_not_tracked() -> None:
    assert ROOT / "uv.lock" not in tracked_files()
    assert (ROOT / "pyproject.toml") in tracked_files()


def test_the_resolution_is_frozen_by_date_instead() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT00:00:00Z", settings["tool"]["uv"]["exclude-newer"])


@pytest.mark.parametrize("named", [*REGISTRIES, *MACHINE_PATHS])
def test_no_file_names_a_package_registry_or_one_machine(named: str) -> None:
    found = [file.relative_to(ROOT) for file in tracked_files() if named.encode() in file.read_bytes()]
    assert not found


def test_the_newest_entry_of_the_changelog_is_the_version_that_is_built() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    newest = re.search(r"^## \[?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest.group(1) == version
