"""Loading from files and the environment: what takes effect, and where it came from."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from quantd.config import ConfigProblems, Settings, load
from quantd.config.effective import show
from quantd.engine.risk.limits import DayEnd
from quantd.venues.ionloop.settings import IonloopSettings
from quantd.venues.paper.settings import PaperSettings
from quantd.venues.settings import VenueSettings

BASE = """\
venues:
  paper:
    type: paper
    data: {synthetic: {seed: 3, instruments: [{symbol: BTC-USDT, price: 65000.10}]}}
    balances: {USDT: 1000.000000000000000001}
risk:
  base_currency: USDT
  account: {max_open_orders: 5, day_ends: "17:00 America/New_York"}
  strategy: {long_only: true, max_position: 1}
strategies:
  - id: btc-cross
    use: sma_cross.SmaCross
    instruments: [paper:BTC-USDT]
    params: {fast: 10, quantity: 0.10, trend: yes, always: true}
    risk: {max_position: 2}
    bars: 2s
    max_gap: 1h
"""
IONLOOP = "venues: {ionloop: {type: ionloop}}\nrisk: {base_currency: USDT}\n"
KEY = "QUANTD__VENUES__IONLOOP__API_KEY"


def loaded(folder: Path, text: str = BASE, env: dict[str, str] | None = None, over: str | None = None) -> Settings:
    (folder / "base.yaml").write_text(text)
    files = [folder / "base.yaml"]
    if over is not None:
        (folder / "site.yaml").write_text(over)
        files.append(folder / "site.yaml")
    return load(files, env if env is not None else {})


def paper(settings: Settings) -> PaperSettings:
    venue = settings.venues["paper"]
    assert isinstance(venue, PaperSettings)
    return venue


def test_numbers_arrive_to_the_last_digit(tmp_path: Path) -> None:
    settings = loaded(tmp_path)

    assert paper(settings).balances == {"USDT": Decimal("1000.000000000000000001")}
    synthetic = paper(settings).data.synthetic
    assert synthetic is not None
    assert str(synthetic.instruments[0].price) == "65000.10"


def test_parameters_of_a_strategy_stay_as_they_were_written(tmp_path: Path) -> None:
    params = loaded(tmp_path).strategies[0].params

    assert params == {"fast": "10", "quantity": "0.10", "trend": "yes", "always": True}


def test_a_strategy_has_its_own_limits_over_the_defaults(tmp_path: Path) -> None:
    strategy = loaded(tmp_path).strategies[0]

    assert (strategy.risk.max_position, strategy.risk.long_only) == (Decimal(2), True)
    assert (strategy.bars, strategy.max_gap) == (2, 3600)


def test_the_day_ends_where_the_account_says(tmp_path: Path) -> None:
    assert loaded(tmp_path).risk.day_ends == DayEnd(hour=17, time_zone="America/New_York")


def test_instruments_take_the_default_venue_and_keep_their_roles(tmp_path: Path) -> None:
    text = BASE.replace(
        "instruments: [paper:BTC-USDT]", "venue: paper\n    instruments: {a: BTC-USDT, b: paper:ETH-USDT}"
    )

    strategy = loaded(tmp_path, text).strategies[0]

    assert strategy.instrument_ids == ("paper:BTC-USDT", "paper:ETH-USDT")
    assert strategy.roles == {"a": "paper:BTC-USDT", "b": "paper:ETH-USDT"}


def test_a_second_file_lies_over_the_first(tmp_path: Path) -> None:
    over = "strategies:\n  - id: btc-cross\n    params: {fast: 5}\nlogging: {level: debug}\n"

    settings = loaded(tmp_path, over=over)

    assert settings.strategies[0].params["fast"] == "5"
    assert settings.strategies[0].params["quantity"] == "0.10"
    assert settings.logging.level == "debug"
    assert settings.locate("strategies.btc-cross.params.fast").endswith("site.yaml:3")
    assert settings.locate("strategies.btc-cross.params.quantity").endswith("base.yaml:14")


def test_a_section_without_content_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    settings = loaded(tmp_path, BASE + "feeds:\nwebhooks:\n")

    assert settings.feeds.quote_every_s == 1.0
    assert settings.webhooks is None


@pytest.mark.parametrize(
    ("variable", "value", "path"),
    [
        ("QUANTD__LOGGING__LEVEL", "debug", "logging.level"),
        ("quantd__logging__level", "debug", "logging.level"),
        ("QUANTD__STRATEGIES__BTC_CROSS__PARAMS__FAST", "5", "strategies.btc-cross.params.fast"),
        ("QUANTD__STRATEGIES__BTC_CROSS__PARAMS__SLOW", "50", "strategies.btc-cross.params.slow"),
        ("QUANTD__STRATEGIES__BTC_CROSS__RISK__MAX_POSITION", "9", "strategies.btc-cross.risk.max_position"),
        ("QUANTD__STRATEGIES__BTC_CROSS__ENABLED", "false", "strategies.btc-cross.enabled"),
        ("QUANTD__STRATEGIES__BTC_CROSS__INSTRUMENTS", "[paper:ETH-USDT]", "strategies.btc-cross.instruments"),
        ("QUANTD__VENUES__PAPER__BALANCES__USDT", "7", "venues.paper.balances.USDT"),
        ("QUANTD__VENUES__PAPER__BALANCES__EUR", "7", "venues.paper.balances.EUR"),
        ("QUANTD__VENUES__PAPER__DATA__SYNTHETIC__SEED", "7", "venues.paper.data.synthetic.seed"),
        ("QUANTD__RISK__ACCOUNT__MAX_OPEN_ORDERS", "7", "risk.account.max_open_orders"),
        ("QUANTD__RISK__ACCOUNT__SUBMIT_RATE__COUNT", "7", "risk.account.submit_rate.count"),
        ("QUANTD__RISK__ACCOUNT__DAY_ENDS", "12:00", "risk.account.day_ends"),
        ("QUANTD__WEBHOOKS__PORT", "0", "webhooks.port"),
        ("QUANTD__STRATEGIES_DIR", "elsewhere", "strategies_dir"),
    ],
)
def test_a_variable_overrides_a_key_and_is_named_as_its_origin(
    tmp_path: Path, variable: str, value: str, path: str
) -> None:
    text = BASE.replace("max_open_orders: 5", "max_open_orders: 5, submit_rate: {count: 1, per_s: 1}")

    settings = loaded(tmp_path, text, {variable: value})

    assert settings.locate(path) == variable.upper()
    assert settings.hash != loaded(tmp_path, text).hash


def test_a_variable_can_make_a_venue_another_type(tmp_path: Path) -> None:
    env = {"QUANTD__VENUES__PAPER__TYPE": "ionloop", "QUANTD__VENUES__PAPER__API_KEY": "k"}
    text = re.sub(r"    (data|balances).*\n", "", BASE)

    assert isinstance(loaded(tmp_path, text, env).venues["paper"], IonloopSettings)


def test_variables_of_others_are_left_alone(tmp_path: Path) -> None:
    env = {"PATH": "/bin", "QUANTD_HOME": "x", "QUANTD__LOGGING__LEVEL": "debug"}

    loaded(tmp_path, env=env)

    assert env == {"PATH": "/bin", "QUANTD_HOME": "x", "QUANTD__LOGGING__LEVEL": "debug"}


# secrets


def ionloop(settings: Settings) -> IonloopSettings:
    venue = settings.venues["ionloop"]
    assert isinstance(venue, IonloopSettings)
    return venue


def test_a_secret_variable_is_read_and_leaves_the_environment(tmp_path: Path) -> None:
    env = {KEY: "planted-secret", "HOME": "/"}

    settings = loaded(tmp_path, IONLOOP, env)

    key = ionloop(settings).api_key
    assert key is not None
    assert key.get_secret_value() == "planted-secret"
    assert env == {"HOME": "/"}


def test_a_secret_variable_leaves_the_environment_even_when_the_configuration_is_broken(tmp_path: Path) -> None:
    env = {KEY: "planted-secret"}

    with pytest.raises(ConfigProblems):
        loaded(tmp_path, IONLOOP + "feedz: 1\n", env)

    assert env == {}


def test_a_secret_is_the_line_in_its_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(" planted secret \n")
    (tmp_path / "key").chmod(0o600)

    settings = loaded(tmp_path, IONLOOP.replace("type: ionloop", f"type: ionloop, api_key_file: {tmp_path}/key"))

    key = ionloop(settings).api_key
    assert key is not None
    assert key.get_secret_value() == " planted secret "
    assert ["begins or ends with a blank" in one for one in settings.warnings] == [True]


def test_the_mark_with_which_some_editors_begin_a_file_is_no_part_of_a_secret(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xef\xbb\xbfplanted-secret\r\n")
    (tmp_path / "key").chmod(0o600)

    settings = loaded(tmp_path, IONLOOP, {f"{KEY}_FILE": f"{tmp_path}/key"})

    key = ionloop(settings).api_key
    assert key is not None
    assert key.get_secret_value() == "planted-secret"
    assert settings.warnings == ()


def test_a_secret_file_that_everyone_can_read_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("planted-secret")
    (tmp_path / "key").chmod(0o644)

    settings = loaded(tmp_path, IONLOOP, {f"{KEY}_FILE": f"{tmp_path}/key"})

    assert len(settings.warnings) == 1
    assert settings.warnings[0].startswith(f"{KEY}_FILE: venues.ionloop.api_key_file: the file is readable by everyone")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "an empty file"),
        (b"\n", "an empty file"),
        (b"planted-secret\nplanted-secret\n", "a file of several lines"),
        (b"planted-secret\xff", "a file that is no text"),
        (None, "is a directory"),
    ],
)
def test_a_secret_file_that_holds_no_secret_is_refused(tmp_path: Path, content: bytes | None, says: str) -> None:
    file = tmp_path / "key"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)

    with pytest.raises(ConfigProblems, match=says) as caught:
        loaded(tmp_path, IONLOOP, {f"{KEY}_FILE": str(file)})

    assert "planted-secret" not in str(caught.value)


def test_a_variable_wins_over_a_secret_file_of_the_yaml(tmp_path: Path) -> None:
    text = IONLOOP.replace("type: ionloop", "type: ionloop, api_key_file: /nowhere")

    key = ionloop(loaded(tmp_path, text, {KEY: "planted-secret"})).api_key

    assert key is not None


def test_two_variables_for_one_secret_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems, match="one of the two variables"):
        loaded(tmp_path, IONLOOP, {KEY: "planted-secret", f"{KEY}_FILE": "/nowhere"})


def test_no_secret_shows_anywhere_and_none_changes_the_hash(tmp_path: Path) -> None:
    first = loaded(tmp_path, IONLOOP, {KEY: "planted-secret"})
    second = loaded(tmp_path, IONLOOP, {KEY: "another"})

    assert "planted-secret" not in show(first) + repr(first) + str(first.tree.plain())
    assert f"# api_key: ***  # {KEY}" in show(first)
    assert first.hash == second.hash


def test_a_parameter_whose_name_says_secret_is_masked_wherever_it_stands(tmp_path: Path) -> None:
    wrong = "api_key: planted-1, tokens: [planted-2], credentials: {user: planted-3}, smtp_passwd: planted-4"
    text = BASE.replace("fast: 10,", f"fast: 10, {wrong},")

    shown = show(loaded(tmp_path, text))

    assert "planted" not in shown
    assert "fast: 10  #" in shown
    assert shown.count("'***'") == 4


# what the composition root does with it


def test_a_later_error_is_placed_where_the_value_was_written(tmp_path: Path) -> None:
    settings = loaded(tmp_path)

    error = settings.error("strategies.btc-cross.params.fsat", found="an unknown parameter", expected="fast or slow")

    assert str(error) == (
        f"{tmp_path}/base.yaml:14:5: strategies.btc-cross.params.fsat: "
        "found an unknown parameter, expected fast or slow"
    )
    assert settings.locate(("strategies", "btc-cross", "params", "quantity")) == f"{tmp_path}/base.yaml:14"


def test_a_venue_of_a_plugin_is_checked_by_its_own_settings(tmp_path: Path) -> None:
    class MoonSettings(VenueSettings):
        craters: int

    text = IONLOOP.replace("ionloop", "moon")
    (tmp_path / "base.yaml").write_text(text.replace("type: moon", "type: moon, craters: many"))

    with pytest.raises(ConfigProblems, match=r"venues\.moon\.craters: found 'many', expected a whole number"):
        load([tmp_path / "base.yaml"], {}, {"moon": MoonSettings})


def test_what_takes_effect_can_be_shown_and_loaded_again(tmp_path: Path) -> None:
    settings = loaded(tmp_path, env={"QUANTD__LOGGING__LEVEL": "debug"})
    shown = show(settings)

    (tmp_path / "again.yaml").write_text(shown)

    assert load([tmp_path / "again.yaml"], {}).hash == settings.hash
    assert "  level: debug  # QUANTD__LOGGING__LEVEL\n" in shown
    assert "    max_open_orders: 5  # " in shown
    assert "  format: auto  # default\n" in shown


def test_the_hash_follows_the_values_and_not_the_way_they_are_written(tmp_path: Path) -> None:
    same = BASE.replace(
        'account: {max_open_orders: 5, day_ends: "17:00 America/New_York"}',
        "order: {}\n  account:\n    day_ends: 17:00 America/New_York\n    max_open_orders: 5",
    )

    assert loaded(tmp_path, same).hash == loaded(tmp_path).hash
    assert loaded(tmp_path, BASE.replace("fast: 10", "fast: 11")).hash != loaded(tmp_path).hash


def test_a_webhook_secret_without_a_listener_is_a_warning(tmp_path: Path) -> None:
    settings = loaded(tmp_path, IONLOOP, {KEY: "a", "QUANTD__VENUES__IONLOOP__WEBHOOK_SECRET": "b"})

    assert settings.warnings == ("venues.ionloop: there is a webhook secret but no `webhooks` section: none arrive",)
