"""E-mail against an SMTP server on loopback: what arrives, how it is encrypted, and what a bad server costs."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import Message as Mail
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from quantd.clock import SystemClock
from quantd.notify.delivery import Undelivered
from quantd.notify.mail import Email
from quantd.notify.notice import Message
from quantd.notify.outbox import Outbox
from quantd.notify.settings import EmailChannel
from quantd.testing.observer import RecordingObserver
from tests.component.notify.receivers import Certificate, SmtpReceiver
from tests.process.harness import free_port

SECRET = "planted-77aa-password"


@asynccontextmanager
async def smtp(receiver: SmtpReceiver, implicit: ssl.SSLContext | None = None) -> AsyncIterator[SmtpReceiver]:
    """Serve a mail server."""
    await receiver.start(implicit)
    try:
        yield receiver
    finally:
        await receiver.stop()


def settings(port: int, **given: Any) -> EmailChannel:
    """Return a channel to a server on this machine."""
    base: dict[str, Any] = {"host": "127.0.0.1", "security": "none", "timeout_s": 2}
    addresses = {"sender": "bot@example.com", "recipients": ["ann@example.com", "bob@example.com"]}
    return EmailChannel(port=port, **(base | addresses | given))


async def send(channel: Email, message: Message) -> Undelivered | None:
    """Send once, and return what went wrong."""
    try:
        async with asyncio.timeout(5):
            await channel.send(message)
    except Undelivered as error:
        return error
    return None


def content(mail: Mail) -> str:
    """The text of a mail."""
    payload = mail.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode().replace("\r\n", "\n")


async def test_a_mail_arrives_for_everybody_with_a_subject_of_one_line_and_the_messages_id(message: Message) -> None:
    async with smtp(SmtpReceiver()) as server:
        assert await send(Email(settings(server.port)), message) is None
    (mail,) = server.mails
    assert mail["Subject"] == "[CRITICAL] desk: trading halted (all)"
    assert mail["Message-ID"] == "<r-1@example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert (mail["From"], mail["To"]) == ("bot@example.com", "ann@example.com, bob@example.com")
    assert server.recipients == ["ann@example.com", "bob@example.com"]
    assert "why: ann: <!channel> & drill" in content(mail)


async def test_what_a_notice_says_makes_no_headers_of_its_own(message: Message) -> None:
    hostile = message.notices[0].__class__(
        key="k",
        state="s",
        weight=message.weight,
        what="x\r\nBcc: all@example.com",
        where="ü\n.\nQUIT",
        since_ns=0,
        why="line\n.\nQUIT\n..\n",
    )
    async with smtp(SmtpReceiver()) as server:
        assert await send(Email(settings(server.port)), Message("r-2", "desk", (hostile,))) is None
    (mail,) = server.mails
    assert mail["Bcc"] is None
    assert server.recipients == ["ann@example.com", "bob@example.com"]
    assert "why: line\n.\nQUIT\n..\n" in content(mail)


async def test_it_logs_in_over_starttls_with_a_certificate_that_is_vouched_for(
    certificate: Certificate, message: Message
) -> None:
    async with smtp(SmtpReceiver(certificate.server, offers_starttls=True)) as server:
        given = settings(server.port, security="starttls", user="bot", password=SecretStr(SECRET))
        assert await send(Email(given, tls=certificate.trusting), message) is None
    assert server.logins == [("bot", SECRET)]
    assert server.encrypted == [True]


async def test_it_speaks_tls_from_the_first_byte_where_that_is_configured(
    certificate: Certificate, message: Message
) -> None:
    async with smtp(SmtpReceiver(), certificate.server) as server:
        assert await send(Email(settings(server.port, security="tls"), tls=certificate.trusting), message) is None
    assert server.encrypted == [True]


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_that_nobody_vouches_for_gets_neither_password_nor_mail(
    certificate: Certificate, message: Message, security: str
) -> None:
    implicit = certificate.server if security == "tls" else None
    async with smtp(SmtpReceiver(certificate.server, offers_starttls=True), implicit) as server:
        given = settings(server.port, security=security, user="bot", password=SecretStr(SECRET))
        failure = await send(Email(given), message)
    assert failure is not None
    assert "SSLCertVerificationError" in str(failure)
    assert not server.logins
    assert not server.mails


async def test_a_server_without_starttls_is_refused_for_good_before_the_password(message: Message) -> None:
    async with smtp(SmtpReceiver()) as server:
        given = settings(server.port, security="starttls", user="bot", password=SecretStr(SECRET))
        failure = await send(Email(given), message)
    assert failure is not None
    assert failure.is_final
    assert "AUTH" not in server.verbs


def test_a_context_that_verifies_nothing_is_refused() -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    with pytest.raises(ValueError, match="does not verify"):
        Email(settings(1), tls=context)


@pytest.mark.parametrize(
    ("answers", "is_final", "says"),
    [
        ({"CONNECT": "421 too busy"}, False, "421"),
        ({"MAIL": "451 try later"}, False, "451"),
        ({"MAIL": "550 not you"}, True, "550"),
        ({"RCPT": "550 no such user"}, True, "all recipients refused"),
        ({"RCPT": "450 greylisted"}, False, "all recipients refused"),
        ({"DATA": "554 spam"}, True, "554"),
        ({"AUTH": f"535 wrong: {SECRET}"}, True, "535"),
    ],
)
async def test_a_refusal_is_for_good_or_not_and_never_quotes_the_server(
    message: Message, answers: dict[str, str | float], is_final: bool, says: str
) -> None:
    async with smtp(SmtpReceiver()) as server:
        server.answers = answers
        failure = await send(Email(settings(server.port, user="bot", password=SecretStr(SECRET))), message)
    assert failure is not None
    assert failure.is_final is is_final
    assert says in str(failure)
    assert SECRET not in str(failure)


async def test_a_server_that_is_not_there_is_worth_another_attempt(message: Message) -> None:
    failure = await send(Email(settings(free_port())), message)
    assert failure is not None
    assert not failure.is_final


async def test_a_server_that_says_nothing_holds_up_one_thread_and_no_loop_and_no_secret_is_logged(
    message: Message,
) -> None:
    observer, clock = RecordingObserver(), SystemClock()
    async with smtp(SmtpReceiver()) as server:
        server.answers = {"MAIL": 30.0}
        given = settings(server.port, timeout_s=0.5, user="bot", password=SecretStr(SECRET))
        channel = Email(given.model_copy(update={"timeout_s": 1.5}))  # the socket's patience outlasts the outbox's
        outbox = Outbox("email.desk", channel, given, source="d", run="r", clock=clock, observer=observer)
        with capture_logs() as logged:
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(outbox.run(), name="outbox")
                outbox.put(message.notices[0])
                begun_s, longest_s = clock.monotonic_ns() / 1e9, 0.0
                while clock.monotonic_ns() / 1e9 - begun_s < 1.2:
                    before_s = clock.monotonic_ns() / 1e9
                    await asyncio.sleep(0.005)
                    longest_s = max(longest_s, clock.monotonic_ns() / 1e9 - before_s)
                running.cancel()
            assert await send(channel, message) is not None, "a second thread beside one that hangs"
            await outbox.close()
        assert server.verbs.count("MAIL") == 1
    assert longest_s < 0.3, f"the loop stood still for {longest_s} s"
    assert observer.counted("quantd_notification_attempts_failed_total", channel="email.desk") == 1
    assert SECRET not in repr(logged)
