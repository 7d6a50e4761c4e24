"""`notifier areas import` as an operator calls it: words, exit codes and report."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from notifier.cli import notifier

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
Call = Callable[..., Result]

LINES = """pcds,doterm,oslaua,osward,lat,long
ZE90 1AA,,E09900001,E05990001,60.15,-1.15
ZE90 1AB,201504,E09900001,E05990001,60.15,-1.15
N90 1AA,,E09900002,E05990002,51.58,-0.16
"""


@pytest.fixture
def call(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NOTIFIER_DATABASE_URL", database_url)
    Path("ONSPD_AUG_2024.csv.gz").write_bytes(gzip.compress(LINES.encode()))
    Path("names.csv").write_text("WD24CD,WD24NM\nE05990001,Mill\n")

    def called(*words: str) -> Result:
        return CliRunner().invoke(notifier, ["areas", "import", *words])

    return called


def test_the_report_says_what_changed(call: Call) -> None:
    first = call("ONSPD_AUG_2024.csv.gz", "--names", "names.csv")
    assert first.exit_code == 0, first.output
    assert "vintage 2024-08: 3 lines" in first.stdout
    assert "3  new" in first.stdout
    assert "2 wards in 2 boroughs; 0 ended" in first.stdout
    assert "3 areas have no name yet" in first.stdout
    assert "3  unchanged" in call("ONSPD_AUG_2024.csv.gz").stdout


@pytest.mark.parametrize(
    "words",
    [
        ["FILE", "--borough", "E09900001", "E09900002"],
        ["--borough", "E09900001", "--borough", "E09900002", "FILE"],
        ["FILE", "--borough", "E09900001,E09900002"],
    ],
)
def test_several_boroughs_may_be_written_in_any_usual_way(call: Call, words: list[str]) -> None:
    done = call(*(word.replace("FILE", "ONSPD_AUG_2024.csv.gz") for word in words), "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["new"] == 3


def test_the_report_as_json_stands_alone_on_the_output(call: Call) -> None:
    done = call("ONSPD_AUG_2024.csv.gz", "--borough", "E09900001", "--json")
    report = json.loads(done.stdout)
    assert (report["new"], report["outside"], report["boroughs"], report["vintage"]) == (2, 1, 1, "2024-08")


def test_a_borough_that_is_not_in_the_file_fails(call: Call) -> None:
    done = call("ONSPD_AUG_2024.csv.gz", "--borough", "E09900009")
    assert (done.exit_code, "no postcode of E09900009" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["names.csv"], 1, "not a postcode file"),
        (["ONSPD_AUG_2024.csv.gz", "--names", "ONSPD_AUG_2024.csv.gz"], 1, "no pair of columns"),
        (["nowhere.csv"], 2, "there is no file"),
        (["names.csv", "ONSPD_AUG_2024.csv.gz"], 2, "give one FILE"),
        (["ONSPD_AUG_2024.csv.gz", "--vintage", "2999-01"], 2, "write a past month"),
        (["ONSPD_AUG_2024.csv.gz", "--borough", "Camden"], 2, "looks like E09000001"),
    ],
)
def test_what_cannot_be_imported_is_refused_in_words(
    call: Call, words: list[str], code: int, says: str
) -> None:
    done = call(*words)
    assert (done.exit_code, says in done.stderr) == (code, True), done.output


def test_a_file_without_a_single_postcode_fails(call: Call) -> None:
    Path("empty.csv").write_text("pcds,laua\nPostcode,Borough\n")
    done = call("empty.csv")
    assert (done.exit_code, "holds no postcodes" in done.stderr) == (1, True)
