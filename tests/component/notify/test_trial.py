"""`quantd notify`: which channels deliver, before the first night shows it."""

import re
from pathlib import Path

import pytest
import typer

from quantd.app.notifications import try_channels
from quantd.cli.notify import notify
from quantd.clock import SystemClock
from quantd.notify.settings import NotifySettings
from tests.component.notify.receivers import HttpReceiver
from tests.component.notify.test_notify_settings import BASE, KEY
from tests.process.harness import free_port


async def test_a_trial_is_sent_once_by_every_channel_and_says_what_did_not_arrive(receiver: HttpReceiver) -> None:
    receiver.answers += [30.0]
    section = {
        "webhooks": {
            "slow": {"url": f"{receiver.url}/slow", "timeout_s": 0.2},
            "desk": {"url": f"{receiver.url}/desk", "least": "critical"},
            "dead": {"url": f"http://127.0.0.1:{free_port()}"},
        },
        "heartbeat": {"url": f"{receiver.url}/beat"},
    }
    found = await try_channels(NotifySettings.model_validate(section), SystemClock())
    assert found == {
        "webhooks.slow": "no answer within 0.2 s",
        "webhooks.desk": "",
        "webhooks.dead": "ClientConnectorError: no answer",
    }
    assert [one.path for one in receiver.requests] == ["/slow", "/desk"], (
        "the monitor must not think that a daemon lives"
    )
    assert b"a trial notice, nothing is wrong" in receiver.requests[1].body


def test_the_command_prints_a_line_for_each_channel_and_fails_if_one_does_not_deliver(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in KEY.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "q.yaml").write_text(BASE + f"notify: {{webhooks: {{a: {{url: 'http://127.0.0.1:{free_port()}'}}}}}}\n")
    with pytest.raises(typer.Exit) as ended:
        notify([tmp_path / "q.yaml"])
    assert ended.value.exit_code == 1
    assert re.fullmatch(r"webhooks\.a: ClientConnectorError: no answer\n", capsys.readouterr().err)


def test_a_configuration_that_names_nobody_is_unusable_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in KEY.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "q.yaml").write_text(BASE)
    with pytest.raises(typer.Exit) as ended:
        notify([tmp_path / "q.yaml"])
    assert ended.value.exit_code == 2
    assert "at least one" in capsys.readouterr().err
