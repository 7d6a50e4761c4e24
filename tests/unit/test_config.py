"""Settings: what is set is checked, what is unknown is refused, what is secret stays so."""

import stat
from pathlib import Path

import pytest

from notifier import config
from notifier.config import BadConfiguration
from notifier.runtime import carriers, channel_variables


def test_without_any_setting_the_service_is_a_demo_on_sqlite() -> None:
    settings = config.build({}).settings
    assert settings.is_sqlite
    assert settings.channels == ["outbox"]
    assert settings.public_url == "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    ("mapping", "sentence"),
    [
        ({"NOTIFIER_DATABSE_URL": "x"}, "did you mean NOTIFIER_DATABASE_URL?"),
        ({"NOTIFIER_ZZZ": "x"}, "is not a setting"),
        ({"NOTIFIER_LISTEN": "8080"}, "HOST:PORT"),
        ({"NOTIFIER_INBOUND_LISTEN": "http://127.0.0.1:25"}, "lmtp://HOST:PORT"),
        ({"NOTIFIER_TIMEZONE": "Europe/Londinium"}, "no time zone"),
        ({"NOTIFIER_SLOTS": "0"}, "NOTIFIER_SLOTS"),
    ],
)
def test_a_setting_that_makes_no_sense_says_which_and_why(mapping: dict[str, str], sentence: str) -> None:
    with pytest.raises(BadConfiguration, match="NOTIFIER_") as refused:
        config.build(mapping, channel_variables)
    assert sentence in str(refused.value)


def test_lists_take_commas_or_spaces_and_channels_declare_their_own() -> None:
    mapping = {
        "NOTIFIER_CHANNELS": "email_smtp, sms_twilio",
        "NOTIFIER_SMTP_URL": "smtp://relay.example:25",
        "NOTIFIER_TEST_ANYTHING": "ignored",
    }
    assert config.build(mapping, channel_variables).settings.channels == ["email_smtp", "sms_twilio"]


def test_the_first_channel_named_carries_its_medium() -> None:
    assert carriers(["sms_twilio", "outbox"]) == {
        "sms": "sms_twilio",
        "email": "outbox",
        "social": "outbox",
        "push": "outbox",
    }


def test_the_environment_wins_over_the_file_and_both_over_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text('# ours\nexport NOTIFIER_FORCE_NAME="From the file"\nNOTIFIER_SLOTS=3\n')
    monkeypatch.setenv("NOTIFIER_SLOTS", "5")
    settings = config.read(defaults={"NOTIFIER_SLOTS": "9", "NOTIFIER_SERVICE_NAME": "Default"}).settings
    assert (settings.slots, settings.force_name, settings.service_name) == (5, "From the file", "Default")


def test_sqlite_makes_its_key_once_for_the_owner_alone(tmp_path: Path) -> None:
    settings = config.build({"NOTIFIER_DATABASE_URL": f"sqlite:///{tmp_path}/x.db"}).settings
    first = config.secret_ring(settings)
    assert config.secret_ring(settings) == first
    assert stat.S_IMODE((tmp_path / "x.db.key").stat().st_mode) == 0o600


def test_postgresql_wants_its_keys_from_the_operator() -> None:
    settings = config.build({"NOTIFIER_DATABASE_URL": "postgresql://db/x"}).settings
    with pytest.raises(BadConfiguration, match="NOTIFIER_SECRET_KEYS is not set"):
        config.secret_ring(settings)


def test_a_short_secret_is_refused() -> None:
    settings = config.build({"NOTIFIER_SECRET_KEYS": "short"}).settings
    with pytest.raises(BadConfiguration, match="16 characters"):
        config.secret_ring(settings)


def test_a_url_is_shown_without_its_password() -> None:
    assert config.without_password("smtp://me:hunter2@relay:587") == "smtp://me:(secret)@relay:587"
