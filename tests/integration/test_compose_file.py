"""The compose file, read without an engine: settings, commands, order of start, nothing open or real."""

import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from channels.registry import find
from notifier import config, runtime
from notifier.cli import notifier
from tests.fakes import mmg

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text())["services"]
LISTENS_EVERYWHERE = "0.0.0.0"  # noqa: S104 - inside its container
OURS = sorted(name for name, service in SERVICES.items() if service.get("image") == "notifier")


def _settings(name: str) -> config.Environment:
    return config.build(SERVICES[name]["environment"], runtime.channel_variables)


def test_compose_itself_can_read_the_file() -> None:
    assert {"web", "worker_one", "worker_two", "postgres", "redis", "fakes", "seed"} <= set(SERVICES)
    if program := shutil.which("docker-compose"):
        read = subprocess.run(
            [program, "-f", FILE, "config", "-q"], capture_output=True, text=True, check=False
        )
        assert read.returncode == 0, read.stderr


@pytest.mark.parametrize("name", OURS)
def test_every_setting_is_one_we_know_and_makes_sense(name: str) -> None:
    settings = _settings(name).settings
    assert config.secret_ring(settings)
    assert set(runtime.carriers(settings.channels)) >= {"email", "sms", "social", "push"}


@pytest.mark.parametrize("name", OURS)
async def test_every_channel_finds_all_it_needs(name: str) -> None:
    environment = _settings(name)
    for channel in environment.settings.channels:
        assert find(channel).from_env(environment.for_channels()).name == channel


@pytest.mark.parametrize("name", OURS)
def test_every_command_is_one_our_program_takes(name: str) -> None:
    program, *words = SERVICES[name]["command"]
    assert program == "notifier"
    with notifier.make_context(program, list(words)) as context:
        name_of_command, command, rest = notifier.resolve_command(context, list(words))
        assert command is not None
        with command.make_context(name_of_command, rest, parent=context):
            pass


def test_the_fakes_take_the_options_they_are_given() -> None:
    python, *words = SERVICES["fakes"]["command"]
    assert (python, words[:2]) == ("python", ["-m", "tests.fakes"])
    usage = subprocess.run(
        [sys.executable, *words[:2], "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    given = [word for word in words[2:] if word.startswith("--")]
    assert [option for option in given if option not in re.findall(r"--[a-z-]+", usage)] == []


def test_the_fakes_are_where_the_service_looks_for_them_and_sign_as_it_expects() -> None:
    words = SERVICES["fakes"]["command"]
    options = dict(pairwise(words))
    environment = SERVICES["worker_one"]["environment"]
    assert environment["NOTIFIER_SMTP_URL"] == f"smtp://fakes:{options['--smtp-port']}"
    assert environment["NOTIFIER_TWILIO_API_URL"] == f"http://fakes:{options['--twilio-port']}"
    for name in ("x", "mmg", "mastodon", "bluesky"):
        assert environment[f"NOTIFIER_{name.upper()}_API_URL"] == f"http://fakes:{options[f'--{name}-port']}"
    assert environment["NOTIFIER_PUSH_URL"] == f"http://fakes:{options['--push-port']}"
    assert environment["NOTIFIER_MMG_API_KEY"] == mmg.API_KEY
    assert environment["NOTIFIER_TWILIO_AUTH_TOKEN"] == options["--auth-token"]
    assert urlsplit(options["--hooks-url"]).hostname == "web"
    assert environment["NOTIFIER_OUTBOX_DIR"] == options["--outbox"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_what_a_service_waits_for_exists_and_can_come_true(name: str) -> None:
    for other, wait in SERVICES[name].get("depends_on", {}).items():
        if wait["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]
        else:
            assert wait["condition"] == "service_completed_successfully"
            assert SERVICES[other]["restart"] == "no"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_port_is_open_to_this_machine_alone(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize("name", OURS)
def test_nothing_leaves_the_machine(name: str) -> None:
    inside = {*SERVICES, "127.0.0.1"}
    addresses = [str(value) for value in SERVICES[name]["environment"].values() if "//" in str(value)]
    hosts = {urlsplit(address).hostname for address in addresses} - {LISTENS_EVERYWHERE}
    assert len(hosts) >= 4
    assert hosts <= inside


def test_the_pages_are_ready_when_the_service_says_so() -> None:
    assert "/health/ready" in SERVICES["web"]["healthcheck"]["test"][-1]


@pytest.mark.parametrize("name", ["web", "worker_one", "worker_two"])
def test_long_running_services_come_back_and_have_time_to_finish(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) >= 20


def test_redis_keeps_its_wake_ups_and_evicts_none() -> None:
    command = " ".join(SERVICES["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


def test_every_image_we_build_is_a_stage_of_the_dockerfile_made_from_files_that_exist() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", dockerfile, re.MULTILINE))
    assert {service["build"]["target"] for service in SERVICES.values() if "build" in service} <= stages
    for copied in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE):
        assert all((ROOT / name).exists() for name in copied.split())
