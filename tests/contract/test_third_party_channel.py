"""A channel from another package: a wheel beside the service, joined by its entry points alone, passes the suite."""

import os
import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests" / "sample_channel"


@pytest.fixture(scope="module")
def beside_it(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that finds the sample's wheel, which is of Python alone: to unpack it is to install it."""
    wheels, beside = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("beside")
    build = "import sys, hatchling.build; print(hatchling.build.build_wheel(sys.argv[1]))"
    made = run(sys.executable, "-c", build, str(wheels), at=SAMPLE)
    with ZipFile(wheels / made.splitlines()[-1]) as wheel:
        wheel.extractall(beside)
    return {**os.environ, "PYTHONPATH": str(beside)}


def test_it_passes_the_conformance_suite(beside_it: dict[str, str]) -> None:
    suite = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header")
    said = run(
        sys.executable,
        *suite,
        "tests/contract/test_channel_claims.py",
        "tests/contract/test_channels.py",
        "tests/contract/test_channel_calls.py",
        "-k",
        "sms_modem or bench",
        env=beside_it,
    )
    passed = re.search(r"(\d+) passed", said)
    assert passed
    assert int(passed[1]) >= 40
    assert "failed" not in said
    assert "skipped" not in said


def test_the_service_lists_it_and_its_settings(beside_it: dict[str, str], tmp_path: Path) -> None:
    both = "from notifier.cli import notifier as it; it(['channels'], standalone_mode=False); it(['config'])"
    said = run(sys.executable, "-c", both, at=tmp_path, env=beside_it)
    assert re.search("^sms_modem +not open", said, re.MULTILINE)
    assert "NOTIFIER_MODEM_KEY" in said


def test_it_names_nothing_of_ours_but_the_contract(beside_it: dict[str, str]) -> None:
    source = (SAMPLE / "notifier_sms_modem" / "channel.py").read_text()
    assert not re.search(
        r"^\s*(?:from|import) (?:notifier\b(?!_)|subscribers|templates)", source, re.MULTILINE
    )


def run(*command: str, at: Path = ROOT, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=at, env=env, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
