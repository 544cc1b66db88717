"""The `notify` section as an operator writes it: the page's example loads, and each mistake is named without its secret."""

import re
from pathlib import Path

import pytest

from quantd.config import ConfigProblems, Settings, load
from quantd.config.effective import show

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/operations/notifications.md"
BASE = "venues: {ionloop: {type: ionloop}}\nrisk: {base_currency: USDT}\n"
KEY = {"QUANTD__VENUES__IONLOOP__API_KEY": "a-key-of-the-venue"}
SECRET = "planted-31d0-secret"
SLACK = "QUANTD__NOTIFY__SLACK__DESK__URL"
MAIL = "host: mail.example.com, sender: a@example.com, recipients: [b@example.com]"


def loaded(folder: Path, text: str, env: dict[str, str]) -> Settings:
    (folder / "q.yaml").write_text(BASE + text)
    return load([folder / "q.yaml"], {**KEY, **env})


def test_the_example_of_the_page_loads_with_its_secrets_in_files(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    for path in set(re.findall(r"/run/secrets/[\w-]+", example)):
        secret = tmp_path / Path(path).name
        secret.write_text(f"https://example.com/{SECRET}")
        secret.chmod(0o600)
        example = example.replace(path, str(secret))
    settings = loaded(tmp_path, example, {})
    assert settings.notify is not None
    assert settings.notify.channel_names == ("webhooks.chat-ops", "telegram.pager", "slack.desk", "email.night")
    assert settings.notify.slack["desk"].url is not None
    assert settings.notify.slack["desk"].url.get_secret_value().endswith(SECRET)
    assert SECRET not in show(settings)
    assert not settings.warnings


def test_an_address_that_is_a_secret_comes_by_a_variable_and_changes_no_hash(tmp_path: Path) -> None:
    text = "notify: {slack: {desk: {}}}\n"
    one = loaded(tmp_path, text, {SLACK: f"https://hooks.example.com/{SECRET}"})
    other = loaded(tmp_path, text, {SLACK: f"https://hooks.example.com/other-{SECRET}"})
    assert one.hash == other.hash
    assert SECRET not in show(one) + repr(one.notify)


@pytest.mark.parametrize(
    ("section", "env", "says"),
    [
        ("{}", {}, ("notify", "at least one channel, or a heartbeat")),
        ("{slack: {desk: {}}}", {}, ("notify.slack.desk", "url_file", "__URL")),
        ("{telegram: {a: {chat_id: '5'}}}", {}, ("notify.telegram.a", "token_file")),
        ("{telegram: {a: {chat_id: x}}}", {}, ("notify.telegram.a.chat_id",)),
        ("{heartbeat: {every_s: 5}}", {}, ("notify.heartbeat", "url_file")),
        ("{webhooks: {a: {}}}", {}, ("notify.webhooks.a", "url", "secret_url_file")),
        ("{webhooks: {a: {url: 'http://example.com'}}}", {}, ("notify.webhooks.a.url", "https://")),
        ("{webhooks: {a: {url: 'https://u:p@example.com'}}}", {}, ("notify.webhooks.a.url", "without a user")),
        ("{webhooks: {A B: {url: 'https://example.com'}}}", {}, ("notify", "a-z")),
        ("{webhooks: {a: {url: 'https://example.com', template: '$wat'}}}", {}, ("template", "no such field: wat")),
        (
            "{webhooks: {a: {url: 'https://example.com', rate_cuont: 5}}}",
            {},
            ("rate_cuont", "did you mean rate_count?"),
        ),
        (f"{{slack: {{desk: {{url: 'https://example.com/{SECRET}'}}}}}}", {}, ("notify.slack.desk.url", "a secret")),
        ("{slack: {desk: {}}}", {SLACK: f"http://example.com/{SECRET}"}, ("notify.slack.desk.url", "https://")),
        ("{slack: {desk: {}}}", {SLACK: f"https://[{SECRET}"}, ("notify.slack.desk.url", "https://")),
        (f"{{email: {{a: {{{MAIL}, user: bot}}}}}}", {}, ("notify.email.a", "both or neither")),
        (f"{{email: {{a: {{{MAIL}, security: none}}}}}}", {}, ("notify.email.a", "starttls or tls")),
        ("{email: {a: {host: h, sender: x, recipients: [b@example.com]}}}", {}, ("notify.email.a", "plain addresses")),
        ("{email: {a: {host: h, sender: 'a@b.c', recipients: []}}}", {}, ("notify.email.a.recipients",)),
        # A mail's header would read these as other recipients than were meant: two as one, or none.
        ("{email: {a: {host: h, sender: 'a@b.c', recipients: ['\"a@b.c', d@e.f]}}}", {}, ("plain addresses",)),
        ("{email: {a: {host: h, sender: 'a@b.c', recipients: ['a@b.c;', d@e.f]}}}", {}, ("plain addresses",)),
        ("{email: {a: {host: h, sender: 'a@b.c', recipients: ['a:b@b.c', d@e.f]}}}", {}, ("plain addresses",)),
        ("{email: {a: {host: h, sender: 'a@b.c', recipients: [a@b.c., d@e.f]}}}", {}, ("plain addresses",)),
    ],
)
def test_a_mistake_is_named_with_its_key_and_what_is_expected(
    tmp_path: Path, section: str, env: dict[str, str], says: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigProblems) as caught:
        loaded(tmp_path, f"notify: {section}\n", env)
    told = str(caught.value)
    assert any(all(part in line for part in says) for line in told.splitlines()), told
    assert SECRET not in told
