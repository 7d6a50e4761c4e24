"""The one reader of the environment (and of `.env`). Everything else is handed what it needs.

`Settings` documents every variable of the service; channels declare theirs themselves. A
`NOTIFIER_*` variable that nobody declares is an error naming the nearest known one.
"""

import os
import re
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from notifier import failpoints

PREFIX = "NOTIFIER_"
Names = Annotated[list[str], NoDecode]
Variables = Callable[[Sequence[str] | None], Collection[str]]  # of these channels, or of all


class BadConfiguration(Exception):
    """A setting is missing, unknown or makes no sense."""


class Settings(BaseSettings):
    """The service's settings; each reads `NOTIFIER_` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore")

    database_url: str = Field(
        "sqlite:///notifier.db", description="sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"
    )
    redis_url: str = Field("", description="redis://HOST:PORT/N. Empty: jobs run inside this process.")
    listen: str = Field("127.0.0.1:8080", description="HOST:PORT of the web pages")
    base_url: str = Field("", description="The public address residents see. Empty: http:// and `listen`.")
    secret_keys: Names = Field(
        default_factory=list,
        description="Secrets, newest first, separated by commas. Empty: made once beside an SQLite file.",
        json_schema_extra={"secret": True},
    )
    hook_keys: Names = Field(
        default_factory=list,
        description="Secrets that sign POST /hooks/email/raw, newest first",
        json_schema_extra={"secret": True},
    )
    channels: Names = Field(default_factory=lambda: ["outbox"], description="Open channels, in order")
    weights: Names = Field(
        default_factory=list,
        description="Shares of channels that carry the same medium: sms_twilio=70 sms_firetext=30. "
        "None: all by the first named, and the others stand by.",
    )
    failover_after: int = Field(
        120,
        ge=0,
        description="Seconds a channel is out of order before what waits goes by another that carries its medium; "
        "alerts go at once",
    )
    mail_domain: str = Field("localhost.example", description="Domain of our mail addresses")
    inbound_listen: str = Field(
        "", description="lmtp://HOST:PORT or smtp://HOST:PORT for replies by mail. Empty: no listener."
    )
    sms_numbers: Names = Field(
        default_factory=list,
        description="Our text numbers and names; the first is the default, and names take no replies",
    )
    timezone: str = Field("Europe/London", description="The zone in which times are written and read")
    service_name: str = Field("Neighbourhood Link", description="What residents know the service as")
    force_name: str = Field("Borough Police", description="The police force's name, as residents know it")
    demo: bool = Field(
        False, description="Shows the outbox page and the demo sign-ins. Never outside a demo."
    )
    outbox_dir: str = Field("", description="Folder of the outbox channel. Empty: beside the SQLite file.")
    slots: int = Field(16, ge=1, le=256, description="Concurrent sends of a worker in each bulk lane")
    rates: Names = Field(
        default_factory=list,
        description="Most messages (text parts) a second: email_smtp=50 email_smtp/domain=20 sms_twilio/sender=1",
    )
    spend_a_day: Names = Field(
        default_factory=list,
        description="Most pounds a day: sms_twilio=500 sms_twilio/team=50. None: no limit.",
    )
    sign_up_texts_an_hour: int = Field(
        100, ge=0, description="Most texts an hour that strangers can cause by signing up"
    )
    quiet_hours: Names = Field(
        default_factory=list,
        description="When nothing but alerts and answers is sent, by medium: sms=21:00-08:00. None: at any hour.",
    )
    weekly_limit: int = Field(
        0, ge=0, description="Most messages a person gets in seven days, alerts apart. 0: no limit."
    )
    texts_a_day: int = Field(
        0, ge=0, description="Most texts a person gets in a day, alerts and answers apart. 0: no limit."
    )
    canary_above: int = Field(
        5000,
        ge=0,
        description="A larger bulk message first goes to 25, and stops where those fail. 0: never.",
    )
    alarm_url: str = Field(
        "", description="https:// address that is told of each operator alarm (JSON by POST)"
    )
    proof_at: str = Field("03:30", description="Local time at which the ledger is proved each night")
    failpoint: str = Field(
        "", description="For tests: where to die, fail or wait, as C4:kill. Refused at a public address."
    )
    time_factor: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Shortens every lease and wait by one factor, for drills. 1 in production.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is passed alone: `read` has gathered the environment already."""
        return (init_settings,)

    @field_validator(
        "secret_keys",
        "hook_keys",
        "channels",
        "weights",
        "sms_numbers",
        "rates",
        "spend_a_day",
        "quiet_hours",
        mode="before",
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        return value.replace(",", " ").split() if isinstance(value, str) else value

    @field_validator("listen")
    @classmethod
    def _has_port(cls, value: str) -> str:
        if urlsplit(f"//{value}").port is None:
            raise ValueError("write it as HOST:PORT, for example 127.0.0.1:8080")
        return value

    @field_validator("inbound_listen")
    @classmethod
    def _is_listener(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("lmtp", "smtp") or parts.port is None):
            raise ValueError("write it as lmtp://HOST:PORT or smtp://HOST:PORT")
        return value

    @field_validator("rates", "spend_a_day")
    @classmethod
    def _are_amounts(cls, value: list[str]) -> list[str]:
        for pair in value:
            if not re.fullmatch(r"[a-z]\w*(?:/(?:sender|domain|team))?=\d+(?:\.\d+)?", pair):
                raise ValueError(f"write {pair!r} as NAME=NUMBER or NAME/SCOPE=NUMBER")
        return value

    @field_validator("weights")
    @classmethod
    def _are_shares(cls, value: list[str]) -> list[str]:
        for pair in value:
            if not re.fullmatch(r"[a-z]\w*=\d{1,6}", pair):
                raise ValueError(f"write {pair!r} as NAME=NUMBER, for example sms_twilio=70")
        return value

    @field_validator("quiet_hours")
    @classmethod
    def _are_hours(cls, value: list[str]) -> list[str]:
        hour = r"(?:[01]\d|2[0-3]):[0-5]\d"
        for pair in value:
            if not re.fullmatch(rf"[a-z]+={hour}-{hour}", pair):
                raise ValueError(f"write {pair!r} as MEDIUM=HH:MM-HH:MM, for example sms=21:00-08:00")
        return value

    @field_validator("proof_at")
    @classmethod
    def _is_time(cls, value: str) -> str:
        if not re.fullmatch(r"(?:[01]\d|2[0-3]):[0-5]\d", value):
            raise ValueError("write it as HH:MM, for example 03:30")
        return value

    @field_validator("alarm_url")
    @classmethod
    def _is_web_address(cls, value: str) -> str:
        parts = urlsplit(value)
        on_this_machine = parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
        if value and not on_this_machine and (parts.scheme != "https" or not parts.hostname):
            raise ValueError("write it as https://…; http:// will do on this machine alone")
        return value

    @model_validator(mode="after")
    def _fails_in_tests_alone(self) -> Self:
        failpoints.check(self.failpoint)
        host = urlsplit(self.public_url).hostname or ""
        if self.failpoint and not _is_nobodys(host):
            raise ValueError(f"NOTIFIER_FAILPOINT is for tests, and {host} looks like a real service")
        return self

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"there is no time zone {value!r}") from error
        return value

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def public_url(self) -> str:
        """The address residents see, without a slash at its end."""
        return (self.base_url or f"http://{self.listen}").rstrip("/")

    @property
    def is_sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    @property
    def sqlite_file(self) -> Path:
        """The SQLite database's file."""
        return Path(self.database_url.split("///", 1)[-1])


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Settings, with the raw mapping that channels are handed."""

    settings: Settings
    mapping: Mapping[str, str] = field(repr=False)

    def for_channels(self) -> dict[str, str]:
        """What channels may read: the variables as set, and the derived ones they share."""
        settings = self.settings
        outbox = settings.outbox_dir or str(
            settings.sqlite_file.with_suffix(".outbox") if settings.is_sqlite else Path("outbox")
        )
        return {
            **self.mapping,
            "NOTIFIER_BASE_URL": settings.public_url,
            "NOTIFIER_MAIL_DOMAIN": settings.mail_domain,
            "NOTIFIER_OUTBOX_DIR": outbox,
        }


def no_variables(_names: Sequence[str] | None) -> Collection[str]:
    """Where there are no channels."""
    return ()


def read(
    channel_variables: Variables = no_variables, *, defaults: Mapping[str, str] | None = None
) -> Environment:
    """The settings from `.env` and the environment, which wins; defaults where neither says. Raises BadConfiguration."""
    return build({**(defaults or {}), **_dot_env(Path(".env")), **os.environ}, channel_variables)


def build(mapping: Mapping[str, str], channel_variables: Variables = no_variables) -> Environment:
    """Settings from an explicit mapping. Raises BadConfiguration with a sentence for each fault."""
    ours = {name: value for name, value in mapping.items() if name.startswith(PREFIX)}
    _refuse_unknown(ours, channel_variables)
    values = {name.removeprefix(PREFIX).lower(): value for name, value in ours.items()}
    known = {name: value for name, value in values.items() if name in Settings.model_fields}
    try:
        settings = Settings.model_validate(known)
    except ValidationError as error:
        faults = [
            ": ".join([*(f"{PREFIX}{str(n).upper()}" for n in e["loc"][:1]), e["msg"]])
            for e in error.errors()
        ]
        raise BadConfiguration("; ".join(faults)) from error
    return Environment(settings=settings, mapping=ours)


def without_password(url: str) -> str:
    """A URL as it may be shown."""
    parts = urlsplit(url)
    return url.replace(f":{parts.password}@", ":(secret)@") if parts.password else url


def secret_ring(settings: Settings) -> list[str]:
    """The secrets, newest first; on SQLite made once into a 0600 file beside the database."""
    if settings.secret_keys:
        if any(len(secret) < 16 for secret in settings.secret_keys):
            raise BadConfiguration("NOTIFIER_SECRET_KEYS: each secret needs at least 16 characters")
        return settings.secret_keys
    if not settings.is_sqlite:
        raise BadConfiguration(
            "NOTIFIER_SECRET_KEYS is not set: PostgreSQL needs it, made by `openssl rand -hex 32`"
        )
    path = settings.sqlite_file.with_suffix(settings.sqlite_file.suffix + ".key")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return path.read_text().split()
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_hex(32) + "\n")
    return path.read_text().split()


def _refuse_unknown(ours: Mapping[str, str], channel_variables: Variables) -> None:
    """The open channels are asked first, and all only where a name is none of theirs: that imports every provider's SDK."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    others = [name for name in sorted(ours) if name not in known and not name.startswith(f"{PREFIX}TEST_")]
    for names in (ours.get(f"{PREFIX}CHANNELS", "").replace(",", " ").split(), None):
        if others:
            known |= set(channel_variables(names))
            others = [name for name in others if name not in known]
    for name in others:
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else "; `notifier config` lists those there are"
        raise BadConfiguration(f"{name} is not a setting{hint}")


def _is_nobodys(host: str) -> bool:
    """This machine, or a name that RFC 2606 and 6761 keep for examples and tests."""
    return host in ("localhost", "127.0.0.1", "::1") or host.endswith(
        (".example", ".test", ".invalid", ".localhost")
    )


def _dot_env(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.removeprefix("export ").split("=", 1) for line in lines if "=" in line and line[0] != "#")
    return {name.strip(): value.strip().strip("'\"") for name, value in pairs}
