"""Webhook, Telegram, Slack and the heartbeat against an HTTP server on loopback."""

import asyncio
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr
from structlog.testing import capture_logs

from quantd.clock import SystemClock
from quantd.notify.delivery import Channel, Undelivered
from quantd.notify.monitor import Monitor
from quantd.notify.notice import Message
from quantd.notify.outbox import Outbox
from quantd.notify.posting import Slack, Telegram, Web, Webhook
from quantd.notify.settings import HeartbeatSettings, SlackChannel, TelegramChannel, WebhookChannel
from quantd.testing.observer import RecordingObserver
from tests.component.notify.receivers import Certificate, HttpReceiver, http_receiver
from tests.process.harness import free_port

SECRET = "planted-9c2e-secret"


async def send(channel: Channel, message: Message) -> Undelivered | None:
    """Send once, close, and return what went wrong."""
    try:
        async with asyncio.timeout(5):
            await channel.send(message)
    except Undelivered as error:
        return error
    finally:
        await channel.close()
    return None


async def test_a_webhook_gets_all_of_a_notice_as_json_under_a_signature(
    receiver: HttpReceiver, message: Message
) -> None:
    settings = WebhookChannel(
        secret_url=SecretStr(f"{receiver.url}/hooks/{SECRET}"),
        token=SecretStr("t0ken"),
        signing_secret=SecretStr("key"),
    )
    assert await send(Webhook(settings), message) is None
    (request,) = receiver.requests
    assert (request.method, request.path) == ("POST", f"/hooks/{SECRET}")
    assert request.headers["Authorization"] == "Bearer t0ken"
    digest = hmac.new(b"key", request.body, hashlib.sha256).hexdigest()
    assert request.headers["X-Quantd-Signature"] == f"sha256={digest}"
    body: dict[str, Any] = json.loads(request.body)
    assert body.pop("text").startswith("[CRITICAL] desk: trading halted (all)\nwhy: ann")
    assert body == {
        "version": 1,
        "id": "r-1",
        "source": "desk",
        "weight": "critical",
        "notices": [
            {
                "key": "state all",
                "state": "halted",
                "weight": "critical",
                "what": "trading halted",
                "where": "all",
                "why": "ann: <!channel> & drill",
                "since": "2023-11-14 22:13:20 UTC",
                "since_ns": 1_700_000_000_000_000_000,
                "do": "Nothing.",
                "runbook": "QuantdHalted",
            }
        ],
    }


async def test_telegram_gets_plain_text_for_its_chat(receiver: HttpReceiver, message: Message) -> None:
    settings = TelegramChannel(chat_id="-100123", token=SecretStr("12:ab"), base_url=f"{receiver.url}/")
    assert await send(Telegram(settings), message) is None
    (request,) = receiver.requests
    assert (request.method, request.path) == ("POST", "/bot12:ab/sendMessage")
    body = json.loads(request.body)
    assert set(body) == {"chat_id", "text"}, "a mode of formatting would trip over what a notice says"
    assert "why: ann: <!channel> & drill" in body["text"]


async def test_slack_gets_text_that_calls_nobody_by_accident(receiver: HttpReceiver, message: Message) -> None:
    assert await send(Slack(SlackChannel(url=SecretStr(f"{receiver.url}/services/T/B/x"))), message) is None
    (request,) = receiver.requests
    assert request.path == "/services/T/B/x"
    assert "ann: &lt;!channel&gt; &amp; drill" in json.loads(request.body)["text"]


@pytest.mark.parametrize(
    ("status", "headers", "body", "is_final", "retry_after_s"),
    [
        (500, {}, "", False, 0),
        (503, {"Retry-After": "7"}, "", False, 7),
        (429, {"Retry-After": "30"}, "", False, 30),
        (429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, "", False, 0),
        (429, {}, '{"ok":false,"parameters":{"retry_after":11}}', False, 11),
        (429, {}, '{"parameters":{"retry_after":"x"}}', False, 0),
        (408, {}, "", False, 0),
        (400, {}, '{"description":"chat not found"}', True, 0),
        (403, {}, "invalid_token", True, 0),
        (404, {}, "no_service", True, 0),
        (307, {"Location": "http://127.0.0.1:1/elsewhere"}, "", True, 0),
        (500, {}, "\udcff{", False, 0),
    ],
)
async def test_a_refusal_is_for_good_or_not_and_says_when_again(
    receiver: HttpReceiver,
    message: Message,
    status: int,
    headers: dict[str, str],
    body: str,
    is_final: bool,
    retry_after_s: float,
) -> None:
    answer = web.Response(status=status, headers=headers, body=body.encode("utf-8", "surrogateescape"))
    receiver.answers.append(answer)
    failure = await send(Webhook(WebhookChannel(url=receiver.url)), message)
    assert failure is not None
    assert (failure.is_final, failure.retry_after_s) == (is_final, retry_after_s)
    assert str(failure) == f"the receiver answered {status}"
    assert len(receiver.requests) == 1, "a redirect was followed, or a refusal repeated"


async def test_a_receiver_that_cuts_the_connection_or_is_not_there_is_worth_another_attempt(
    receiver: HttpReceiver, message: Message
) -> None:
    receiver.answers.append(None)
    for url in (f"{receiver.url}/{SECRET}", f"http://127.0.0.1:{free_port()}/{SECRET}"):
        failure = await send(Webhook(WebhookChannel(secret_url=SecretStr(url))), message)
        assert failure is not None
        assert not failure.is_final
        assert SECRET not in str(failure)
        assert "no answer" in str(failure)


async def test_a_certificate_that_nobody_vouches_for_is_refused_and_nothing_is_sent(
    certificate: Certificate, message: Message
) -> None:
    async with http_receiver(certificate.server) as receiver:
        url = SecretStr(f"https://127.0.0.1:{receiver.port}/{SECRET}")
        failure = await send(Webhook(WebhookChannel(secret_url=url)), message)
        assert failure is not None
        assert "Certificate" in str(failure)
        assert not receiver.requests


async def test_a_slow_a_dead_and_a_busy_receiver_cost_their_own_notices_only_and_no_secret_is_logged(
    receiver: HttpReceiver, message: Message
) -> None:
    """Four outboxes beside each other: the well one is served while the others hang, fail and wait."""
    observer, clock = RecordingObserver(), SystemClock()
    async with http_receiver() as slow, http_receiver() as busy:
        slow.answers.append(30.0)
        busy.answers.append(web.Response(status=429, headers={"Retry-After": "1"}))
        urls = {"slow": slow.url, "busy": busy.url, "dead": f"http://127.0.0.1:{free_port()}", "well": receiver.url}
        outboxes = []
        for name, url in urls.items():
            settings = WebhookChannel(secret_url=SecretStr(f"{url}/{SECRET}"), timeout_s=0.3)
            channel = Webhook(settings)
            outboxes.append(
                Outbox(f"webhooks.{name}", channel, settings, source="d", run="r", clock=clock, observer=observer)
            )
        with capture_logs() as logged:
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(one.run(), name=one.name) for one in outboxes]
                begun_ns = clock.monotonic_ns()
                for one in outboxes:
                    one.put(message.notices[0])
                await receiver.wait(1)
                assert clock.monotonic_ns() - begun_ns < 1e9
                await busy.wait(2)
                assert clock.monotonic_ns() - begun_ns >= 1e9, "it was not given the pause that it asked for"
                await slow.wait(2)
                for task in running:
                    task.cancel()
            for one in outboxes:
                await one.close()
    assert observer.counted("quantd_notifications_total", channel="webhooks.well", outcome="sent") == 1
    assert observer.counted("quantd_notification_attempts_failed_total", channel="webhooks.dead") >= 1
    bodies = [json.loads(one.body) for one in slow.requests]
    assert len({body["id"] for body in bodies}) == 1, "what may have arrived came again under another id"
    assert {entry["channel"] for entry in logged if entry["event"] == "notification_failed"} >= {
        "webhooks.slow",
        "webhooks.busy",
        "webhooks.dead",
    }
    assert SECRET not in repr(logged)


async def test_the_heartbeat_beats_while_the_daemon_is_ready_and_stops_when_it_is_not(receiver: HttpReceiver) -> None:
    observer, ready = RecordingObserver(), [False]
    settings = HeartbeatSettings.model_construct(
        url=SecretStr(f"{receiver.url}/ping/{SECRET}"), every_s=0.02, timeout_s=1.0
    )
    monitor = Monitor(settings, lambda: ready[0], observer)
    with capture_logs() as logged:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(monitor.run(), name="monitor")
            await asyncio.sleep(0.1)
            assert not receiver.requests, "it told the monitor of a daemon that is not ready"
            ready[0] = True
            await receiver.wait(3)
            ready[0] = False
            await asyncio.sleep(0.05)
            count = len(receiver.requests)
            await asyncio.sleep(0.2)
            assert len(receiver.requests) == count
            receiver.answers += [web.Response(status=500), web.Response(status=302)]
            ready[0] = True
            await receiver.wait(count + 4)
            running.cancel()
        await monitor.close()
    assert {(one.method, one.path) for one in receiver.requests} == {("GET", f"/ping/{SECRET}")}
    assert observer.counted("quantd_monitor_heartbeats_total", outcome="failed") == 2
    assert [entry["event"] for entry in logged] == ["monitor_unreachable", "monitor_reached"]
    assert SECRET not in repr(logged)


async def test_a_kept_connection_that_is_cut_under_a_message_carries_it_once(receiver: HttpReceiver) -> None:
    """Whether to try again, and when, is the outbox's decision."""
    web_pool = Web()
    await web_pool.request("POST", receiver.url, body=b"1")
    receiver.answers.append(None)
    with pytest.raises(Undelivered):
        await web_pool.request("POST", receiver.url, body=b"2")
    await web_pool.close()
    assert [one.body for one in receiver.requests] == [b"1", b"2"]


async def test_a_pool_that_was_closed_opens_anew(receiver: HttpReceiver) -> None:
    web_pool = Web()
    for _ in range(2):
        await web_pool.request("GET", receiver.url)
        await web_pool.close()
    assert len(receiver.requests) == 2


def test_no_channel_shows_its_secret(tmp_path: Path) -> None:
    settings = [
        WebhookChannel(secret_url=SecretStr(f"https://a.example/{SECRET}"), signing_secret=SecretStr(SECRET)),
        SlackChannel(url=SecretStr(f"https://a.example/{SECRET}")),
        TelegramChannel(chat_id="1", token=SecretStr(SECRET)),
        HeartbeatSettings(url=SecretStr(f"https://a.example/{SECRET}")),
    ]
    assert SECRET not in repr(settings) + str([one.model_dump_json() for one in settings])
