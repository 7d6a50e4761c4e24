"""`notifier doctor email`: against a DNS server of the tests' own, a policy's web server, and one composed message."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp import web
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from channels.dkim_signing import Signer
from channels.mail_dns import Dns, NoAnswer
from channels.mail_records import Finding, Level, check_dkim, check_dmarc, check_sender, check_spf
from channels.mail_spf import read_spf
from notifier.cli import notifier
from tests.fakes.dns import FakeDns, Zone
from tests.processes import outside_the_loop

DOMAIN, SENDER = "link.example", "93.184.215.14"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SIGNER = Signer(DOMAIN, "s1", KEY)
POLICY = f"version: STSv1\r\nmode: enforce\r\nmx: *.{DOMAIN}\r\nmax_age: 604800\r\n"


def text(words: str) -> str:
    """A TXT record, in strings of at most 255 octets."""
    return " ".join(f'"{words[at : at + 250]}"' for at in range(0, len(words), 250))


GOOD: dict[tuple[str, str], list[str]] = {
    (DOMAIN, "TXT"): [text(f"v=spf1 ip4:{SENDER} include:_spf.relay.example -all"), text("something=else")],
    ("_spf.relay.example", "TXT"): [text("v=spf1 ip4:198.51.100.0/24 ~all")],
    (f"s1._domainkey.{DOMAIN}", "TXT"): [text(SIGNER.record)],
    (f"_dmarc.{DOMAIN}", "TXT"): [text(f"v=DMARC1; p=reject; rua=mailto:dmarc@{DOMAIN}")],
    (DOMAIN, "MX"): [f"10 mx.{DOMAIN}."],
    (f"mx.{DOMAIN}", "A"): [SENDER],
    (f"_mta-sts.{DOMAIN}", "TXT"): [text("v=STSv1; id=20260304a")],
    (f"_smtp._tls.{DOMAIN}", "TXT"): [text(f"v=TLSRPTv1; rua=mailto:tls@{DOMAIN}")],
    ("14.215.184.93.in-addr.arpa", "PTR"): [f"mx.{DOMAIN}."],
}

Doctor = Callable[..., Awaitable[Result]]


def but(**changes: list[str] | None) -> Zone:
    """The good zone with some TXT records changed; a name's underscore stands for what is before the domain."""
    names = {
        "spf": DOMAIN,
        "dkim": f"s1._domainkey.{DOMAIN}",
        "dmarc": f"_dmarc.{DOMAIN}",
        "sts": f"_mta-sts.{DOMAIN}",
    }
    zone = dict(GOOD)
    for name, records in changes.items():
        zone.pop((names[name], "TXT"))
        if records is not None:
            zone[names[name], "TXT"] = [text(record) for record in records]
    return zone


@pytest.fixture
async def policy() -> AsyncIterator[list[str]]:
    """A web server that gives the policy that stands first in the list; its address is the second."""
    told = [POLICY]

    async def give(_request: web.Request) -> web.Response:
        return web.Response(text=told[0]) if told[0] else web.Response(status=404)

    app = web.Application()
    app.router.add_get("/.well-known/mta-sts.txt", give)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    told.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
    yield told
    await runner.cleanup()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    pem = KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "key.pem").write_bytes(pem)
    return {
        "NOTIFIER_MAIL_DOMAIN": DOMAIN,
        "NOTIFIER_BASE_URL": f"https://{DOMAIN}",
        "NOTIFIER_CHANNELS": "email_smtp",
        "NOTIFIER_SMTP_URL": f"smtp://{SENDER}",
        "NOTIFIER_DKIM_SELECTOR": "s1",
        "NOTIFIER_DKIM_KEY_FILE": str(tmp_path / "key.pem"),
        "NOTIFIER_INBOUND_LISTEN": "lmtp://127.0.0.1:8024",
    }


@pytest.fixture
async def dns() -> AsyncIterator[FakeDns]:
    async with FakeDns(GOOD) as server:
        yield server


@pytest.fixture
def doctor(dns: FakeDns, policy: list[str], environment: dict[str, str]) -> Doctor:
    async def run(*words: str) -> Result:
        asked = ["doctor", "email", DOMAIN, f"--nameserver={dns.nameserver}", f"--policy-origin={policy[1]}"]
        runner = CliRunner(env=environment)
        return await asyncio.to_thread(outside_the_loop, lambda: runner.invoke(notifier, [*asked, *words]))

    return run


def levels(result: Result) -> dict[str, str]:
    """By check, the gravest level."""
    found: dict[str, str] = {}
    for row in json.loads(result.stdout):
        found[row["check"]] = max(
            found.get(row["check"], "ok"), row["level"], key=["ok", "warn", "bad"].index
        )
    return found


async def test_where_all_is_well_it_says_so_and_ends_with_0(doctor: Doctor) -> None:
    result = await doctor("--json")
    assert set(levels(result).values()) == {"ok"}, result.stdout
    assert set(levels(result)) >= {
        *("SPF", "DKIM", "DMARC", "MX", "MTA-STS", "TLS-RPT", "PTR", "message"),
        *("From", "return path", "List-Id", "one-click", "parts", "links", "lines", "signature"),
    }
    assert result.exit_code == 0
    shown = await doctor()
    assert "ok   SPF: One record, 1 of 10 look-ups" in shown.stdout
    assert "WARN" not in shown.stdout


async def test_what_could_be_better_ends_with_1_and_what_is_wrong_with_2(
    doctor: Doctor, dns: FakeDns
) -> None:
    dns.zone = dict(but(dmarc=["v=DMARC1; p=none; rua=mailto:x@y.example"]))
    result = await doctor("--json")
    assert (levels(result)["DMARC"], result.exit_code) == ("warn", 1)
    dns.zone = dict(but(dkim=None))
    result = await doctor("--json")
    assert (levels(result)["DKIM"], levels(result)["signature"], result.exit_code) == ("bad", "bad", 2)
    assert SIGNER.record in result.stdout  # what must be published is said


async def test_no_answer_is_told_from_an_answer_of_nothing(doctor: Doctor, dns: FakeDns) -> None:
    dns.failing = {f"_dmarc.{DOMAIN}"}
    result = await doctor("--json")
    assert (levels(result)["DMARC"], result.exit_code) == ("warn", 1)
    assert "DNS gave no answer" in result.stdout


async def test_a_policy_that_would_hold_back_mail_is_named(doctor: Doctor, policy: list[str]) -> None:
    for told, level in (
        (POLICY.replace(f"*.{DOMAIN}", "mx.other.example"), "bad"),
        (POLICY.replace("enforce", "testing"), "warn"),
        (POLICY.replace("STSv1", "STSv9"), "bad"),
        ("", "bad"),
    ):
        policy[0] = told
        assert levels(await doctor("--json"))["MTA-STS"] == level


async def test_settings_that_make_bulk_mail_refused_are_named(
    doctor: Doctor, environment: dict[str, str]
) -> None:
    environment["NOTIFIER_BASE_URL"] = "http://link.example"
    environment["NOTIFIER_MAIL_FROM"] = "news@elsewhere.example"
    result = await doctor("--json")
    found = levels(result)
    assert (found["one-click"], found["links"], found["From"], found["signature"]) == (
        "bad",
        "bad",
        "bad",
        "bad",
    )


async def test_a_key_that_cannot_be_read_is_a_finding_and_no_crash(
    doctor: Doctor, environment: dict[str, str]
) -> None:
    environment["NOTIFIER_DKIM_KEY_FILE"] = "/nowhere"
    result = await doctor("--json")
    assert (levels(result)["message"], result.exit_code) == ("bad", 2)
    assert "NOTIFIER_DKIM_KEY_FILE cannot be read" in result.stdout


async def test_without_a_relay_or_a_key_of_ours_it_asks_for_what_it_needs(
    doctor: Doctor, environment: dict[str, str]
) -> None:
    for name in ("NOTIFIER_DKIM_SELECTOR", "NOTIFIER_DKIM_KEY_FILE", "NOTIFIER_INBOUND_LISTEN"):
        del environment[name]
    environment["NOTIFIER_SMTP_URL"] = "smtp://127.0.0.1"
    found = levels(await doctor("--json"))
    assert (found["DKIM"], found["PTR"], found["MX"], found["signature"]) == ("warn", "warn", "bad", "bad")
    told = levels(await doctor("--json", "--selector=s1", f"--address={SENDER}"))
    assert (told["DKIM"], told["PTR"], told["signature"]) == ("ok", "ok", "ok")
    assert (await doctor("--address=nowhere")).exit_code == 2


async def asked(zone: Zone, ask: Callable[[Dns], Awaitable[list[Finding] | Finding]]) -> tuple[Level, str]:
    """The gravest finding's level, and all sentences."""
    async with FakeDns(zone) as server:
        found = await ask(Dns(server.nameserver))
    each = found if isinstance(found, list) else [found]
    return max((one.level for one in each), key=list(Level).index), " ".join(one.sentence for one in each)


MANY = " ".join(f"include:s{number}.example" for number in range(11))
NESTED = {(f"s{number}.example", "TXT"): [text("v=spf1 -all")] for number in range(11)}


@pytest.mark.parametrize(
    ("records", "more", "level", "words"),
    [
        (None, {}, Level.BAD, "no SPF record"),
        ([f"v=spf1 ip4:{SENDER} -all", "v=spf1 -all"], {}, Level.BAD, "2 SPF records"),
        ([f"v=spf1 ip4:{SENDER} {MANY} -all"], NESTED, Level.BAD, "needs 11 look-ups"),
        ([f"v=spf1 ip4:{SENDER} +all"], {}, Level.BAD, "anybody"),
        ([f"v=spf1 ip4:{SENDER}"], {}, Level.WARN, "end it in -all"),
        ([f"v=spf1 ip4:{SENDER} ?all"], {}, Level.WARN, "end it in -all"),
        (["v=spf1 ip4:192.0.2.1 -all"], {}, Level.BAD, f"add ip4:{SENDER}"),
        ([f"v=spf1 -ip4:{SENDER} -all"], {}, Level.BAD, f"add ip4:{SENDER}"),
        (["v=spf1 mx -all"], {}, Level.OK, "1 of 10"),
        (["v=spf1 a:mx.link.example/24 -all"], {}, Level.OK, "1 of 10"),
        ([f"v=spf1 ipv4:{SENDER} -all"], {}, Level.BAD, "nothing that SPF knows"),
        ([f"v=spf1 ip4:{SENDER} ip4:999.1.1.1 -all"], {}, Level.BAD, "no address"),
        (["v=spf1 include:gone.example -all"], {}, Level.BAD, "has no SPF record"),
        (["v=spf1 redirect=s.example"], {("s.example", "TXT"): [text(f"v=spf1 ip4:{SENDER} ~all")]}, Level.OK, "~all"),
        (["v=spf1 include:link.example -all"], {}, Level.BAD, "includes itself"),
        (["v=spf1 exists:%{i}.x.example -all"], {}, Level.WARN, "depends on the mail"),
        ([f"V=SPF1 ip4:{SENDER} -all"], {}, Level.OK, "One record"),
    ],
)  # fmt: skip
async def test_spf_is_followed_to_its_end(
    records: list[str] | None, more: Zone, level: Level, words: str
) -> None:
    zone = {**but(spf=records), **more}
    found, said = await asked(zone, lambda dns: check_spf(dns, DOMAIN, [ip_address(SENDER)]))
    assert (found, words in said) == (level, True), said


async def test_look_ups_are_counted_through_every_include() -> None:
    zone = {
        (DOMAIN, "TXT"): [text("v=spf1 a mx include:one.example -all")],
        ("one.example", "TXT"): [text("v=spf1 include:two.example exists:x.example ~all")],
        ("two.example", "TXT"): [text("v=spf1 a:mx.link.example ip6:2001:db8::/32 ?all")],
        (DOMAIN, "MX"): [f"10 mx.{DOMAIN}."],
        (f"mx.{DOMAIN}", "A"): [SENDER],
    }
    async with FakeDns(zone) as server:
        spf = await read_spf(Dns(server.nameserver), DOMAIN)
    assert (spf.look_ups, spf.ends, spf.faults) == (6, "-", [])
    assert spf.allows(ip_address(SENDER))
    assert spf.allows(ip_address("2001:db8::1"))


async def test_an_endless_record_ends() -> None:
    zone = {
        (f"n{number}.example", "TXT"): [text(f"v=spf1 include:n{number + 1}.example -all")]
        for number in range(200)
    }
    async with FakeDns(zone) as server:
        spf = await read_spf(Dns(server.nameserver), "n0.example")
    assert 10 < spf.look_ups < 50


SHORT = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - that is what is named
ED = Signer(DOMAIN, "s1", ed25519.Ed25519PrivateKey.generate())


@pytest.mark.parametrize(
    ("records", "level", "words"),
    [
        ([SIGNER.record], Level.OK, "RSA, 2048 bits"),
        ([ED.record], Level.OK, "Ed25519"),
        ([Signer(DOMAIN, "s1", SHORT).record], Level.BAD, "1024 bits"),
        (None, Level.BAD, "no key"),
        (["v=DKIM1; p="], Level.BAD, "taken back"),
        ([SIGNER.record, ED.record], Level.BAD, "2 keys"),
        ([SIGNER.record + "; t=y"], Level.WARN, "t=y"),
        (["v=DKIM1; p=AAAA"], Level.BAD, "cannot be read"),
    ],
)
async def test_a_key_is_read_as_receivers_read_it(
    records: list[str] | None, level: Level, words: str
) -> None:
    found, said = await asked(but(dkim=records), lambda dns: check_dkim(dns, DOMAIN, "s1"))
    assert (found, words in said) == (level, True), said


@pytest.mark.parametrize(
    ("record", "level", "words"),
    [
        ("v=DMARC1; p=quarantine; rua=mailto:a@b.example", Level.OK, "quarantine"),
        ("v=DMARC1; p=reject", Level.WARN, "rua"),
        ("v=DMARC1; p=reject; pct=20; rua=mailto:a@b.example", Level.WARN, "20 %"),
        ("v=DMARC1; p=maybe; rua=mailto:a@b.example", Level.BAD, "maybe"),
        ("v=DMARC1", Level.BAD, "p=quarantine"),
    ],
)
async def test_a_policy_is_judged_by_what_it_asks_for(record: str, level: Level, words: str) -> None:
    found, said = await asked(but(dmarc=[record]), lambda dns: check_dmarc(dns, DOMAIN))
    assert (found, words in said) == (level, True), said


async def test_a_domain_without_a_policy_has_the_one_above_it() -> None:
    zone = {("_dmarc.example.org", "TXT"): [text("v=DMARC1; p=none; sp=reject; rua=mailto:a@example.org")]}
    assert (await asked(zone, lambda dns: check_dmarc(dns, "mail.example.org")))[0] is Level.OK
    assert (await asked({}, lambda dns: check_dmarc(dns, "mail.example.org")))[0] is Level.BAD


@pytest.mark.parametrize(
    ("zone", "level"),
    [
        (GOOD, Level.OK),
        ({("14.215.184.93.in-addr.arpa", "PTR"): ["elsewhere.example."], ("elsewhere.example", "A"): ["192.0.2.9"]}, Level.BAD),
        ({}, Level.BAD),
    ],
)  # fmt: skip
async def test_an_address_and_its_name_must_agree(zone: Zone, level: Level) -> None:
    assert (await asked(zone, lambda dns: check_sender(dns, ip_address(SENDER))))[0] is level


async def test_silence_is_no_answer() -> None:
    async with FakeDns(GOOD) as server:
        server.silent = {DOMAIN}
        with pytest.raises(NoAnswer, match=DOMAIN):
            await Dns(server.nameserver, seconds=0.3).texts(DOMAIN)


@pytest.mark.parametrize("given", ["dns.example", "::1", ":53", "127.0.0.1:many", "127.0.0.1:99999"])
def test_a_name_server_is_given_by_its_address(given: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Dns(given)
    Dns("[::1]:5353")
    Dns("192.0.2.1")


@pytest.mark.parametrize(
    "domain", ["", "localhost", "a..b", "a b.example", "x" * 70 + ".example", "-e/etc/passwd"]
)
def test_what_is_no_domain_is_said_to_be_none(domain: str, environment: dict[str, str]) -> None:
    result = CliRunner(env=environment).invoke(notifier, ["doctor", "email", "--", domain])
    assert result.exit_code == 2
    assert "is no domain" in result.stderr
