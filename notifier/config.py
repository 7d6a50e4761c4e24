"""The one reader of the environment (and of `.env`). Everything else is handed what it needs.

`Settings` documents every variable of the service; channels declare theirs themselves. A
`NOTIFIER_*` variable that nobody declares is an error naming the nearest known one.
"""

import os
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "NOTIFIER_"
Names = Annotated[list[str], NoDecode]


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
    mail_domain: str = Field("localhost.example", description="Domain of our mail addresses")
    inbound_listen: str = Field(
        "", description="lmtp://HOST:PORT or smtp://HOST:PORT for replies by mail. Empty: no listener."
    )
    sms_numbers: Names = Field(default_factory=list, description="Our text numbers; the first is the default")
    timezone: str = Field("Europe/London", description="The zone in which times are written and read")
    service_name: str = Field("Neighbourhood Link", description="What residents know the service as")
    force_name: str = Field("Borough Police", description="The police force's name, as residents know it")
    demo: bool = Field(
        False, description="Shows the outbox page and the demo sign-ins. Never outside a demo."
    )
    outbox_dir: str = Field("", description="Folder of the outbox channel. Empty: beside the SQLite file.")
    slots: int = Field(8, ge=1, le=256, description="Concurrent sends of a worker in each bulk lane")
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

    @field_validator("secret_keys", "hook_keys", "channels", "sms_numbers", mode="before")
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


def read(
    channel_variables: Callable[[], Collection[str]] = tuple, *, defaults: Mapping[str, str] | None = None
) -> Environment:
    """The settings from `.env` and the environment, which wins; defaults where neither says. Raises BadConfiguration."""
    return build({**(defaults or {}), **_dot_env(Path(".env")), **os.environ}, channel_variables)


def build(
    mapping: Mapping[str, str], channel_variables: Callable[[], Collection[str]] = tuple
) -> Environment:
    """Settings from an explicit mapping. Raises BadConfiguration with a sentence for each fault."""
    ours = {name: value for name, value in mapping.items() if name.startswith(PREFIX)}
    _refuse_unknown(ours, channel_variables)
    values = {name.removeprefix(PREFIX).lower(): value for name, value in ours.items()}
    known = {name: value for name, value in values.items() if name in Settings.model_fields}
    try:
        settings = Settings.model_validate(known)
    except ValidationError as error:
        faults = [f"{PREFIX}{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors()]
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


def _refuse_unknown(ours: Mapping[str, str], channel_variables: Callable[[], Collection[str]]) -> None:
    """channel_variables is asked only where a name is not the service's own: it imports every provider's SDK."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    others = [name for name in sorted(ours) if name not in known and not name.startswith(f"{PREFIX}TEST_")]
    if others:
        known |= set(channel_variables())
    for name in others:
        if name in known:
            continue
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else "; `notifier config` lists those there are"
        raise BadConfiguration(f"{name} is not a setting{hint}")


def _dot_env(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.removeprefix("export ").split("=", 1) for line in lines if "=" in line and line[0] != "#")
    return {name.strip(): value.strip().strip("'\"") for name, value in pairs}
