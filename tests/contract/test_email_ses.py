"""Amazon SNS's calls beyond the common suite: whose certificate is believed, what is fetched, and how often."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from channels.base import HookRequest
from channels.email_ses import EmailSes
from channels.errors import BadHook, CannotVerify, NotConfigured
from channels.smtp_pool import Server
from channels.sns import MAX_CERTIFICATE, MOST_AT_ONCE, Sns, fields_of
from tests.fakes import ses
from tests.fakes.web import Answer, Trouble
from tests.processes import free_port
from tests.providers import until

HOOK = "https://link.example/hooks/email_ses"
SEND = json.dumps({"eventType": "Send", "mail": {"messageId": "m"}, "send": {}})


@pytest.fixture
async def amazon() -> AsyncIterator[ses.FakeSns]:
    async with ses.FakeSns() as found:
        yield found


@pytest.fixture
async def sns(amazon: ses.FakeSns) -> AsyncIterator[Sns]:
    found = Sns([ses.TOPIC], origin=amazon.url)
    yield found
    await found.close()


async def test_many_calls_at_once_fetch_the_certificate_once(amazon: ses.FakeSns, sns: Sns) -> None:
    calls = [ses.sign(amazon.fields(SEND)) for _ in range(8)]
    assert await asyncio.gather(*(sns.is_signed(each) for each in calls)) == [True] * 8
    assert await sns.is_signed(calls[0])
    assert amazon.fetched == [ses.PEM]


async def test_one_who_hangs_up_leaves_the_fetch_to_the_others(amazon: ses.FakeSns, sns: Sns) -> None:
    first = asyncio.create_task(sns.is_signed(ses.sign(amazon.fields(SEND))))
    await asyncio.sleep(0)
    second = asyncio.create_task(sns.is_signed(ses.sign(amazon.fields(SEND))))
    await asyncio.sleep(0)
    first.cancel()
    assert await second
    assert amazon.fetched == [ses.PEM]


@pytest.mark.parametrize(
    "url",
    [
        "",
        f"http://{ses.HOST}{ses.PEM}",
        f"https://{ses.HOST}:8443{ses.PEM}",
        f"https://user@{ses.HOST}{ses.PEM}",
        f"https://{ses.HOST}{ses.PEM}?x=1",
        f"https://{ses.HOST}{ses.PEM}#x",
        f"https://{ses.HOST}/other.pem",
        f"https://{ses.HOST}/../x{ses.PEM}",
        f"https://{ses.HOST}.example{ses.PEM}",
        f"https://evil.example/{ses.HOST}{ses.PEM}",
        f"https://evil-{ses.HOST}{ses.PEM}",
        f"https://sns.eu-west-2.amazonaws.com.evil.example{ses.PEM}",
        f"https://sns.amazonaws.com{ses.PEM}",
        f"https://s3.eu-west-2.amazonaws.com{ses.PEM}",
        f"https://sns.eu-west-2.amazonaws.com.cn.example{ses.PEM}",
        f"https://sns.eu-west-2\n.amazonaws.com{ses.PEM}",
        f"https://[::1]{ses.PEM}",
        "https://[",
    ],
)
async def test_a_certificate_from_anywhere_else_is_not_even_asked_for(
    amazon: ses.FakeSns, sns: Sns, url: str
) -> None:
    assert not await sns.is_signed(ses.sign(amazon.fields(SEND)) | {"SigningCertURL": url})
    assert amazon.fetched == []


@pytest.mark.parametrize(
    "pem",
    [
        ses.certificate(owner="sns.amazonaws.com.evil.example"),
        ses.certificate(owner="evil.example"),
        ses.certificate(days=-1),
        ses.certificate(which="another key"),
        b"-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n",
        b"",
        ses.certificate() + b"#" * MAX_CERTIFICATE,
    ],
    ids=["longer name", "another name", "expired", "another key", "broken", "empty", "too long"],
)
async def test_a_certificate_that_is_not_good_is_not_believed(
    amazon: ses.FakeSns, sns: Sns, pem: bytes
) -> None:
    amazon.pem = pem
    assert not await sns.is_signed(ses.sign(amazon.fields(SEND)))


@pytest.mark.parametrize("owner", ["sns.amazonaws.com", "sns-signing.eu-south-1.amazonaws.com"])
async def test_a_certificate_of_sns_is_believed(amazon: ses.FakeSns, sns: Sns, owner: str) -> None:
    amazon.pem = ses.certificate(owner=owner)
    assert await sns.is_signed(ses.sign(amazon.fields(SEND)))


@pytest.mark.parametrize(
    "answer",
    [Answer(status=302, headers={"Location": ses.PEM}), Answer(status=404)],
    ids=["redirect", "not there"],
)
async def test_what_cannot_be_fetched_is_not_asked_for_again_at_once(
    amazon: ses.FakeSns, sns: Sns, answer: Answer
) -> None:
    amazon.script("pem", answer)
    for _ in range(3):
        assert not await sns.is_signed(ses.sign(amazon.fields(SEND)))
    assert len(amazon.fetched) == 1


@pytest.mark.parametrize("answer", [Answer(status=503), Answer(status=429)], ids=["503", "429"])
async def test_an_sns_that_is_out_of_reach_leaves_it_open_and_is_not_pressed(
    amazon: ses.FakeSns, sns: Sns, answer: Answer
) -> None:
    amazon.script("pem", answer)
    for _ in range(3):
        with pytest.raises(CannotVerify):
            await sns.is_signed(ses.sign(amazon.fields(SEND)))
    assert len(amazon.fetched) == 1


async def test_an_sns_that_cannot_be_connected_to_leaves_it_open() -> None:
    away = Sns([ses.TOPIC], origin=f"http://127.0.0.1:{free_port()}")
    fields = ses.FakeSns().fields(SEND)
    with pytest.raises(CannotVerify):
        await away.is_signed(ses.sign(fields))
    assert not await away.is_signed(ses.sign(fields | {"TopicArn": "another"}))


async def test_strangers_cannot_make_us_fetch_without_end(amazon: ses.FakeSns, sns: Sns) -> None:
    amazon.always("pem", Trouble.HANG)
    fields = ses.sign(amazon.fields(SEND))
    named = [f"https://{ses.HOST}/SimpleNotificationService-{n}.pem" for n in range(10)]
    asked = [asyncio.create_task(sns.is_signed(fields | {"SigningCertURL": url})) for url in named]
    await until(lambda: len(amazon.fetched) >= MOST_AT_ONCE, seconds=5, what="some are fetched")
    await asyncio.sleep(0.05)
    assert len(amazon.fetched) == MOST_AT_ONCE
    await sns.close()
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(each, CannotVerify) for each in found)


async def test_closing_ends_a_fetch_and_leaves_it_open_for_whoever_waits(
    amazon: ses.FakeSns, sns: Sns
) -> None:
    amazon.script("pem", Trouble.HANG)
    waiting = asyncio.create_task(sns.is_signed(ses.sign(amazon.fields(SEND))))
    await until(lambda: bool(amazon.fetched), seconds=5, what="it is fetched")
    await sns.close()
    with pytest.raises(CannotVerify):
        await waiting


@pytest.mark.parametrize(("minutes", "good"), [(-70, False), (-58, True), (4, True), (10, False)])
async def test_a_call_is_good_for_the_hour_in_which_sns_tries(
    amazon: ses.FakeSns, sns: Sns, minutes: int, good: bool
) -> None:
    at = datetime.now(UTC) + timedelta(minutes=minutes)
    assert await sns.is_signed(ses.sign(amazon.fields(SEND, at=at))) is good


async def test_another_topic_or_the_older_signature_is_refused_unless_asked_for(amazon: ses.FakeSns) -> None:
    old = ses.sign(amazon.fields(SEND), version="1")
    other = ses.sign(amazon.fields(SEND, TopicArn=f"{ses.TOPIC}-other"))
    strict = Sns([ses.TOPIC], origin=amazon.url)
    assert [await strict.is_signed(each) for each in (old, other)] == [False, False]
    both = Sns([ses.TOPIC, f"{ses.TOPIC}-other"], origin=amazon.url, versions=("1", "2"))
    assert [await both.is_signed(each) for each in (old, other)] == [True, True]


@pytest.mark.parametrize("missing", ["Message", "MessageId", "Timestamp", "TopicArn", "Type", "Signature"])
async def test_a_call_that_lacks_a_field_is_refused(amazon: ses.FakeSns, sns: Sns, missing: str) -> None:
    fields = ses.sign(amazon.fields(SEND))
    del fields[missing]
    assert not await sns.is_signed(fields)


async def test_a_call_without_a_subject_is_signed_without_one(amazon: ses.FakeSns, sns: Sns) -> None:
    fields = amazon.fields(SEND)
    del fields["Subject"]
    assert await sns.is_signed(ses.sign(fields))
    assert not await sns.is_signed(ses.sign(fields) | {"Subject": "put in later"})


@pytest.mark.parametrize("more", ['"Subject": null', '"MessageAttributes": {"a": {"Type": "String"}}'])
def test_a_field_that_is_no_text_is_none(more: str) -> None:
    assert fields_of(f'{{"Type": "Notification", {more}}}'.encode()) == {"Type": "Notification"}


# --- Confirmations ----------------------------------------------------------------------------


async def ask(amazon: ses.FakeSns, fields: dict[str, str]) -> bool:
    """Whether the channel believes the question; it says yes on the way."""
    channel = EmailSes(
        Server.of("smtp://127.0.0.1:1"), "link.example", sns=Sns([ses.TOPIC], origin=amazon.url)
    )
    async with channel:
        call = ses.call(fields)
        request = HookRequest(url=HOOK, headers=call.headers, body=call.body)
        believed = await channel.verify(request)
        assert not believed or channel.parse(request) == ()
        return believed


async def test_a_topic_of_ours_that_asks_is_told_yes(amazon: ses.FakeSns) -> None:
    fields = amazon.asking()
    assert await ask(amazon, ses.sign(fields))
    assert amazon.confirmed == [fields["Token"]]


@pytest.mark.parametrize(
    "url",
    [
        f"https://evil.example/?Action=ConfirmSubscription&TopicArn={ses.TOPIC}&Token=x",
        f"http://{ses.HOST}/?Action=ConfirmSubscription&TopicArn={ses.TOPIC}&Token=x",
        f"https://{ses.HOST}/?Action=Unsubscribe&TopicArn={ses.TOPIC}&Token=x",
        f"https://{ses.HOST}/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:eu-west-2:1:other&Token=x",
        "",
    ],
)
async def test_an_address_that_is_not_snss_is_never_visited(amazon: ses.FakeSns, url: str) -> None:
    fields = amazon.asking()
    assert not await ask(amazon, ses.sign(fields | {"SubscribeURL": url}))
    assert amazon.confirmed == []


async def test_a_topic_of_others_or_a_forged_question_is_not_answered(amazon: ses.FakeSns) -> None:
    assert not await ask(amazon, ses.sign(amazon.asking(topic=f"{ses.TOPIC}-other")))
    assert not await ask(amazon, ses.sign(amazon.asking()) | {"Token": "another"})
    assert amazon.confirmed == []


async def test_a_topic_we_left_is_believed_and_says_nothing(amazon: ses.FakeSns) -> None:
    fields = amazon.asking() | {"Type": "UnsubscribeConfirmation"}
    assert await ask(amazon, ses.sign(fields))
    assert amazon.confirmed == []


# --- Settings ---------------------------------------------------------------------------------

ENV = {
    "NOTIFIER_SES_SMTP_URL": "smtp://127.0.0.1:1",
    "NOTIFIER_MAIL_DOMAIN": "link.example",
    "NOTIFIER_SES_TOPIC_ARN": f"{ses.TOPIC}, {ses.TOPIC}-inbound",
    "NOTIFIER_SMTP_URL": "nonsense of another channel",
    "NOTIFIER_DKIM_SELECTOR": "of another channel",
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NOTIFIER_SES_TOPIC_ARN", "mail-events"),
        ("NOTIFIER_SES_SMTP_URL", "https://email-smtp.example"),
        ("NOTIFIER_SES_SMTP_CONNECTIONS", "0"),
        ("NOTIFIER_SES_SIGNATURE_VERSIONS", "3"),
        ("NOTIFIER_SES_CONFIGURATION_SET", "a set\r\nBcc: x"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(name: str, value: str) -> None:
    with pytest.raises(NotConfigured, match=f"email_ses: {name} "):
        EmailSes.from_env(ENV | {name: value})


async def test_its_settings_are_its_own(amazon: ses.FakeSns) -> None:
    env = ENV | {"NOTIFIER_SES_SNS_URL": amazon.url, "NOTIFIER_SES_SIGNATURE_VERSIONS": "1,2"}
    async with EmailSes.from_env(env) as channel:
        call = ses.call(ses.sign(amazon.fields(SEND, TopicArn=f"{ses.TOPIC}-inbound"), version="1"))
        assert await channel.verify(HookRequest(url=HOOK, headers=call.headers, body=call.body))
        for path in ("/hooks/email_mailgun", "/hooks/email_ses?x", "/hooks/email_ses/more"):
            url = f"https://link.example{path}"
            assert not await channel.verify(HookRequest(url=url, headers=call.headers, body=call.body))


def test_a_body_that_is_none_of_snss_cannot_be_read() -> None:
    channel = EmailSes(Server.of("smtp://127.0.0.1:1"), "link.example")
    for body in (b"[]", b'{"Type": 1}', b"{" * 5000, b"[" * 100_000, b'"' + b"x" * 2_000_000 + b'"'):
        began = time.monotonic()
        with pytest.raises(BadHook):
            channel.parse(HookRequest(url=HOOK, headers={}, body=body))
        assert time.monotonic() - began < 1
