"""Fail points: how they are written, where they are refused, and that they strike when they should."""

import subprocess
import sys

import pytest

from notifier import failpoints
from notifier.config import BadConfiguration, build


@pytest.fixture(autouse=True)
def _disarmed():  # type: ignore[no-untyped-def]
    yield
    failpoints.arm("")


@pytest.mark.parametrize("spelling", ["C4:kill", "C0.before:kill", "C6:raise@3", "C5:sleep=0.5"])
def test_every_spelling_is_taken(spelling: str) -> None:
    assert build({"NOTIFIER_FAILPOINT": spelling}).settings.failpoint == spelling


@pytest.mark.parametrize("spelling", ["C9:kill", "C4", "C4:explode", "C4:kill@0", "C4.during:kill"])
def test_another_spelling_is_refused_with_the_right_one(spelling: str) -> None:
    with pytest.raises(BadConfiguration, match="write it as C4:kill"):
        build({"NOTIFIER_FAILPOINT": spelling})


def test_a_service_with_a_public_address_has_no_fail_points() -> None:
    given = {"NOTIFIER_FAILPOINT": "C4:kill", "NOTIFIER_BASE_URL": "https://link.police.uk"}
    with pytest.raises(BadConfiguration, match="looks like a real service"):
        build(given)
    assert build({**given, "NOTIFIER_BASE_URL": "https://link.example"}).settings.failpoint


def test_it_strikes_at_its_place_and_time_alone() -> None:
    failpoints.arm("C6.before:raise@2")
    failpoints.reach("C6.after")
    failpoints.reach("C6.before")
    with pytest.raises(failpoints.FailPointReached):
        failpoints.reach("C6.before")


def test_a_kill_leaves_no_time_for_anything() -> None:
    code = "from notifier import failpoints as f; f.arm('C4:kill'); f.reach('C4.after'); print('alive')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (-9, b"")
