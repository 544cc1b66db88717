"""The configurations that ship, the JSON schema, the reference, and the commands that print them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from quantd.cli.check import run_check
from quantd.cli.config import config_app, run_show
from quantd.config import load
from quantd.config.models import Root
from quantd.config.reference import reference
from quantd.config.schema import schema
from quantd.venues.ionloop.routes import ROUTES
from quantd.venues.ionloop.settings import IonloopPaths

PROJECT = Path(__file__).parents[3]
SAMPLES = PROJECT / "config"
GOLDEN = PROJECT / "tests" / "golden" / "config-schema.json"
KEY = {"QUANTD__VENUES__IONLOOP__API_KEY": "planted-secret"}
ARMED = {"QUANTD__VENUES__HUMMINGBOT__ARMED": "live"}

RIPIO = {
    "QUANTD__VENUES__RIPIO__API_TOKEN": "planted-secret",
    "QUANTD__VENUES__RIPIO__API_SECRET": "planted-secret",
    "QUANTD__VENUES__RIPIO__ARMED": "live",
}


def fits(value: Any, rule: dict[str, Any]) -> bool:
    """Return whether `value` fits `rule`, for the parts of JSON schema that ours uses."""
    if "anyOf" in rule:
        return any(fits(value, arm) for arm in rule["anyOf"])
    if "const" in rule:
        return bool(value == rule["const"])
    if "enum" in rule:
        return value in rule["enum"]
    kinds = {"object": dict, "array": list, "integer": int, "number": int | float, "boolean": bool, "string": str}
    kind = rule.get("type")
    if kind is not None and (not isinstance(value, kinds[kind]) or isinstance(value, bool) != (kind == "boolean")):
        return False
    if isinstance(value, dict):
        extra = rule.get("additionalProperties", True)
        known = rule.get("properties", {})
        rest = [item for key, item in value.items() if key not in known]
        return (
            set(rule.get("required", [])) <= set(value)
            and all(fits(value[key], each) for key, each in known.items() if key in value)
            and (all(fits(item, extra) for item in rest) if isinstance(extra, dict) else extra or not rest)
        )
    return all(fits(item, rule.get("items", {})) for item in value) if isinstance(value, list) else True


SETS: list[tuple[list[str], dict[str, str]]] = [
    (["paper.yaml"], {}),
    (["paper.yaml", "control.yaml"], {}),
    (["ionloop-sim.yaml"], {}),
    (["ionloop-sim.yaml", "ionloop-sim-webhooks.yaml"], {}),
    (["ionloop.yaml"], KEY),
    (["hummingbot-sim.yaml"], {}),
    (["oanda-sim.yaml"], {}),
    (["oanda.yaml"], {"QUANTD__VENUES__OANDA__TOKEN": "planted-secret"}),
    (["hummingbot.yaml"], {"QUANTD__VENUES__HUMMINGBOT__PASSWORD": "planted-secret", **ARMED}),
    (["ripio-sim.yaml"], {}),
    (["ripio.yaml"], RIPIO),
    (["tradelocker-sim.yaml"], {}),
    (["tradelocker.yaml"], {"QUANTD__VENUES__TRADELOCKER__PASSWORD": "planted-secret"}),
]
"""What is meant to be loaded together, with the secrets that the owner has to give."""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder like a checkout after `make run`."""
    for name in ("config", "strategies"):
        (tmp_path / name).symlink_to(PROJECT / name)
    (tmp_path / "var").mkdir()
    (tmp_path / "var/operator.token").write_text("a-token-of-the-operator")
    (tmp_path / "var/operator.token").chmod(0o600)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize(("names", "env"), SETS, ids=lambda value: "+".join(value) if isinstance(value, list) else "")
def test_each_sample_loads_without_a_warning(names: list[str], env: dict[str, str]) -> None:
    settings = load([Path("config") / name for name in names], dict(env))

    assert settings.strategies
    assert settings.warnings == ()


def test_every_sample_is_tested() -> None:
    assert {name for names, _ in SETS for name in names} == {file.name for file in SAMPLES.glob("*.yaml")}


def test_the_sample_for_real_money_starts_in_production_once_it_is_armed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    production = {"QUANTD__VENUES__IONLOOP__ENVIRONMENT": "production"}

    assert run_check([SAMPLES / "ionloop.yaml"], {**KEY, **production}) == 2
    assert run_check([SAMPLES / "ionloop.yaml"], {**KEY, **production, "QUANTD__VENUES__IONLOOP__ARMED": "live"}) == 0


@pytest.mark.parametrize("name", ["paper.yaml", "ionloop-sim.yaml", "ionloop.yaml"])
def test_each_sample_fits_the_schema_and_a_misspelt_key_does_not(name: str) -> None:
    rules = schema()
    sample = yaml.safe_load((SAMPLES / name).read_text())

    assert fits(sample, rules)
    sample["risk"]["account"]["max_opn_orders"] = 1
    assert not fits(sample, rules)


def test_the_schema_is_the_golden_one() -> None:
    """After a change that is meant: `quantd config schema > tests/golden/config-schema.json`."""
    assert json.loads(GOLDEN.read_text()) == json.loads(json.dumps(schema()))


def test_the_schema_offers_no_secret_but_its_file() -> None:
    text = json.dumps(schema())

    assert '"api_key_file"' in text
    assert '"api_key"' not in text


def test_the_reference_is_the_one_in_docs() -> None:
    """After a change that is meant: `quantd config docs > docs/configuration.md`."""
    assert (PROJECT / "docs" / "configuration.md").read_text() == reference()


def test_every_key_of_the_schema_is_explained() -> None:
    def unexplained(rule: dict[str, Any], path: str) -> list[str]:
        missing = []
        for key, each in rule.get("properties", {}).items():
            if not each.get("description") and "const" not in each:
                missing.append(f"{path}.{key}")
            missing += unexplained(each, f"{path}.{key}")
        for inner in (*rule.get("anyOf", ()), rule.get("items"), rule.get("additionalProperties")):
            missing += unexplained(inner, path) if isinstance(inner, dict) else []
        return missing

    assert unexplained(schema(), "") == []


def test_the_paths_of_ionloop_are_those_of_its_routes() -> None:
    assert {route.path_name: route.path for route in ROUTES} == IonloopPaths().model_dump()


def test_the_commands_print_schema_reference_and_what_takes_effect() -> None:
    runner = CliRunner()

    assert json.loads(runner.invoke(config_app, ["schema"]).output)["title"] == "quantd configuration"
    assert runner.invoke(config_app, ["docs"]).output == reference()
    shown = runner.invoke(config_app, ["show", str(SAMPLES / "paper.yaml")])
    assert shown.exit_code == 0
    assert "id: btc-cross  # " in shown.output
    assert [name for name in Root.model_fields if f"\n{name}:" not in shown.output] == []


def test_show_of_a_broken_file_says_why_and_exits_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text("venues: 3\n")

    assert run_show([tmp_path / "a.yaml"], {}) == 2
    assert "a.yaml:1:9: venues: found text, expected a mapping" in capsys.readouterr().err


def test_check_of_a_good_file_says_ok_and_runs_the_deeper_checks(capsys: pytest.CaptureFixture[str]) -> None:
    code = run_check([SAMPLES / "paper.yaml"], {}, lambda settings: [f"{len(settings.strategies)} looked at"])

    output = capsys.readouterr()
    assert code == 0
    assert output.out.startswith("ok: 1 venues, 3 strategies, hash ")
    assert output.err == "warning: 3 looked at\n"


def test_a_fault_that_the_deeper_checks_find_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    def deeper(settings: Any) -> list[str]:
        raise settings.error("strategies.btc-cross.params.fast", found="'3'", expected="a whole number below slow")

    assert run_check([SAMPLES / "paper.yaml"], {}, deeper) == 2
    assert "paper.yaml:43:" in capsys.readouterr().err
