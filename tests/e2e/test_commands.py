"""The commands an operator types, as processes: exit codes, words, and counts that sum."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.faults.forker import Forker
from tests.processes import free_port
from tests.providers import SECRET, Notifier, until

CODE = "from notifier.cli import main; main()"


class Operator:
    """A shell in a folder of its own, on an SQLite database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = {
            "NOTIFIER_DATABASE_URL": f"sqlite:///{folder / 'notifier.db'}",
            "NOTIFIER_SECRET_KEYS": SECRET,
            "NOTIFIER_LISTEN": f"127.0.0.1:{free_port()}",
            "NOTIFIER_DEMO": "true",
            "NOTIFIER_TIME_FACTOR": "0.1",
        }

    def __call__(self, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("NOTIFIER_")}
        return subprocess.run(
            [sys.executable, "-c", CODE, *command],
            env={**inherited, **self.settings, **more},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )


class Quick(Operator):
    """The same shell, its commands forked from a warm process: each is a process all the same."""

    def __init__(self, folder: Path, forker: Forker) -> None:
        super().__init__(folder)
        self._forker = forker

    def __call__(self, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        with TemporaryDirectory(dir=self.folder) as place:
            out, errors = Path(place) / "out", Path(place) / "errors"
            process = self._forker.fork(
                self.settings | more, list(command), out, errors=errors, folder=self.folder
            )
            code = self._forker.wait(process, 60)
            assert code is not None, f"{command} does not end"
            return subprocess.CompletedProcess(command, code, out.read_text(), errors.read_text())


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


@pytest.fixture(scope="module")
async def serving(tmp_path_factory: pytest.TempPathFactory, forker: Forker) -> AsyncIterator[Operator]:
    """The demo's borough, served by a process beside the commands."""
    tmp_path = tmp_path_factory.mktemp("serving")
    operator = Quick(tmp_path, forker)
    assert operator("migrate").returncode == 0
    seeded = await asyncio.to_thread(operator, "demo", "--seed-only")
    assert seeded.returncode == 0, seeded.stderr
    process = Notifier(operator.settings, "serve", log=tmp_path / "serve.log", folder=tmp_path)
    process.start()
    try:
        await until(lambda: "Serving" in process.said(), seconds=30, what="it serves")
        yield operator
        assert process.stop() == 0, process.said()
    finally:
        process.kill()


def test_an_unknown_setting_ends_a_command_with_the_nearest_known_one(operator: Operator) -> None:
    done = operator("config", NOTIFIER_DATABSE_URL="x")
    assert done.returncode == 2
    assert "did you mean NOTIFIER_DATABASE_URL?" in done.stderr


def test_config_lists_every_setting_and_shows_no_secret(operator: Operator) -> None:
    done = operator("config")
    assert done.returncode == 0
    for name in (
        "NOTIFIER_DATABASE_URL",
        "NOTIFIER_SMTP_URL",
        "NOTIFIER_TWILIO_AUTH_TOKEN",
        "NOTIFIER_X_API_URL",
    ):
        assert f"{name} = " in done.stdout
    assert SECRET not in done.stdout


def test_a_database_that_was_never_migrated_is_said_in_one_sentence(operator: Operator) -> None:
    done = operator("messages", "status", "0199a0b0-0000-7000-8000-000000000000")
    assert done.returncode == 1
    assert "notifier migrate" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.timeout(180)
async def test_a_message_is_sent_watched_and_explained_from_the_command_line(serving: Operator) -> None:
    body = serving.folder / "body.md"
    body.write_text("We will be in the park from **6pm**.\n", encoding="utf-8")
    words = ("--title", "Patrols tonight", "--body-file", str(body), "--kind", "priority_update")
    sent = await asyncio.to_thread(
        serving,
        "messages",
        "send",
        "--team",
        "abbey-and-bridge-end",
        "--area",
        "E05999001",
        *words,
        "--wait",
        "--json",
    )
    assert sent.returncode == 0, sent.stderr
    told = json.loads(sent.stdout)
    assert told["sums_up"]
    assert sum(told["counts"].values()) == told["audience"] > 30
    assert set(told["counts"]) <= {"accepted", "waiting_for_digest"}
    assert told["state"] == ("sending" if "waiting_for_digest" in told["counts"] else "done")

    status = await asyncio.to_thread(serving, "messages", "status", told["id"])
    assert status.returncode == 0
    assert "accepted" in status.stdout

    account = await asyncio.to_thread(serving, "teams", "account", "Abbey and Bridge End", "not an account")
    assert account.returncode == 2
    account = await asyncio.to_thread(serving, "teams", "account", "Abbey and Bridge End", "@AbbeyPolice")
    assert account.returncode == 0, account.stderr

    explained = await asyncio.to_thread(serving, "explain", "1")
    assert explained.returncode == 0
    assert "attempt 1 started" in explained.stdout

    sound = await asyncio.to_thread(serving, "doctor")
    assert sound.returncode == 0, sound.stdout
    proof = await asyncio.to_thread(serving, "doctor", "--ledger", "--json")
    assert [finding["ok"] for finding in json.loads(proof.stdout)] == [True]


@pytest.mark.timeout(120)
async def test_what_cannot_be_sent_is_refused_in_words(serving: Operator) -> None:
    body = serving.folder / "body.md"
    body.write_text("Hello {{name}}", encoding="utf-8")
    command = ("messages", "send", "--kind", "news", "--title", "Hi", "--body-file", str(body))
    bad = await asyncio.to_thread(serving, *command, "--team", "Abbey and Bridge End", "--area", "E05999001")
    assert bad.returncode == 1
    assert "Unknown field" in bad.stderr
    nobody = await asyncio.to_thread(serving, *command, "--team", "no-such-team", "--area", "E05999001")
    assert nobody.returncode == 1
    assert "There is no team" in nobody.stderr
    assert (await asyncio.to_thread(serving, "explain", "999999")).returncode == 1


async def test_a_second_sender_on_one_sqlite_database_is_refused(serving: Operator) -> None:
    second = await asyncio.to_thread(serving, "serve", NOTIFIER_LISTEN=f"127.0.0.1:{free_port()}")
    assert second.returncode == 1
    assert "another process is sending" in second.stderr
