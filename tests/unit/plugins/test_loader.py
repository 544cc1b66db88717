"""Loading strategies: from a folder, by path and by name; every fault is a value with file, line and cause."""

import os
import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from textwrap import dedent

import msgspec
import pytest

from quantd.domain.capabilities import Support
from quantd.domain.orders import Limit, Market, Protect, Stop
from quantd.engine.strategy import Strategy
from quantd.plugins.loader import STRATEGIES, Loaded, LoadFailure, StrategyLoader, load_registered, support, unmet
from quantd.plugins.settings import StrategySettings
from quantd.testing.builders import make_capabilities, make_plain_capabilities

GOOD = """
    from decimal import Decimal

    from quantd import SMA, Strategy, param


    class Good(Strategy):
        fast: int = param(3, ge=1)
        quantity: Decimal = param(Decimal("0.5"), gt=0)
        label: str = param("x", choices=("x", "y"))

        def setup(self) -> None:
            self.average = self.bars().track(SMA(self.fast))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "strategies"
    made.mkdir()
    return made


@pytest.fixture(autouse=True)
def modules_as_before() -> Iterator[None]:
    before, finders = set(sys.modules), sys.meta_path[:]
    yield
    sys.meta_path[:] = finders
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder: Path, name: str, source: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(source).lstrip("\n"), encoding="utf-8")
    return path


def entry(use: str, **fields: object) -> StrategySettings:
    return StrategySettings.model_validate({"id": "one", "use": use, "instruments": ["paper:BTC-USDT"]} | fields)


def loaded(folder: Path, use: str, **fields: object) -> Loaded:
    result = StrategyLoader(folder).load(entry(use, **fields))
    assert isinstance(result, Loaded), str(result)
    return result


def failure(folder: Path, use: str, **fields: object) -> LoadFailure:
    result = StrategyLoader(folder).load(entry(use, **fields))
    assert isinstance(result, LoadFailure)
    assert result.id == "one"
    return result


class Written:
    """Places of a configuration in which every key stands on line 7."""

    def locate(self, path: Sequence[str]) -> str:
        return f"{'.'.join(path)}@quantd.yaml:7"


# -- what works --------------------------------------------------------------------------------------------------------


def test_a_class_from_the_folder_has_its_parameters_and_its_source_s_hash(folder: Path) -> None:
    path = write(folder, "good.py", GOOD)
    found = loaded(folder, "good.Good", params={"fast": "7", "quantity": "0.10"})
    assert (found.strategy.fast, found.strategy.quantity, found.strategy.label) == (7, Decimal("0.10"), "x")  # type: ignore[attr-defined]  # declared in the file
    assert found.source_hash == sha256(path.read_bytes()).hexdigest()
    assert found.file == str(path)


def test_two_entries_of_one_class_share_nothing(folder: Path) -> None:
    write(folder, "good.py", GOOD)
    loader = StrategyLoader(folder)
    first, second = loader.load(entry("good.Good", params={"fast": 2})), loader.load(entry("good.Good"))
    assert isinstance(first, Loaded)
    assert isinstance(second, Loaded)
    assert type(first.strategy) is type(second.strategy)
    assert vars(first.strategy)["fast"] == 2
    assert vars(second.strategy)["fast"] == 3


def test_an_own_init_sees_the_parameters(folder: Path) -> None:
    write(folder, "own.py", GOOD + "\n        def __init__(self) -> None:\n            self.double = self.fast * 2\n")
    assert vars(loaded(folder, "own.Good", params={"fast": 4}).strategy)["double"] == 8


def test_packages_and_relative_imports_work_in_the_folder(folder: Path) -> None:
    write(folder, "shared.py", "LENGTH = 9\n")
    write(
        folder,
        "pairs/__init__.py",
        GOOD.replace("param(3", "param(LENGTH").replace(
            "from quantd", "from ..shared import LENGTH\n    from quantd", 1
        ),
    )
    assert vars(loaded(folder, "pairs.Good").strategy)["fast"] == 9


def test_what_a_strategy_imports_from_beside_it_is_its_source_and_is_read_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    write(folder, "good.py", GOOD.replace("from quantd", "from .pack import deep as _\n    from quantd", 1))
    write(folder, "pack/__init__.py", "from ..shared import LENGTH\n")
    write(folder, "pack/deep.py", "def later() -> int:\n    from .. import unused\n    return unused.X\n")
    write(folder, "unused.py", "X = 1\n")
    write(folder, "alone.py", GOOD)
    shared = write(folder, "shared.py", "LENGTH = 1\n")
    os.utime(shared, (1000, 1000))
    before, alone = loaded(folder, "good.Good"), loaded(folder, "alone.Good")
    for name in ("shared.py", "unused.py", "pack/deep.py", "pack/__init__.py"):
        kept = (folder / name).read_text()
        write(folder, name, kept + "# changed\n")
        assert loaded(folder, "good.Good").source_hash != before.source_hash, name
        write(folder, name, kept)
    assert loaded(folder, "good.Good").source_hash == before.source_hash
    write(folder, "shared.py", "LENGTH = 2\n")  # of the same length, within the same second
    os.utime(shared, (1000, 1000))
    after = loaded(folder, "good.Good")
    package = type(after.strategy).__module__.partition(".")[0]
    assert sys.modules[f"{package}.shared"].LENGTH == 2
    assert after.source_hash != before.source_hash
    assert loaded(folder, "alone.Good").source_hash == alone.source_hash
    assert not list(folder.rglob("*.pyc"))


def test_an_import_that_is_broken_or_goes_round_is_told_by_the_import_alone(folder: Path) -> None:
    write(folder, "good.py", GOOD.replace("from quantd", "from .round import X\n    from quantd", 1))
    write(folder, "round.py", "X = 1\nfrom . import good\n")
    assert loaded(folder, "good.Good").source_hash
    write(folder, "round.py", "def broken(:\n")
    told = failure(folder, "good.Good")
    assert (Path(told.file).name, told.line) == ("round.py", 1)


def test_a_dotted_path_outside_of_the_folder_is_imported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(folder.parent, "elsewhere/mine/trend.py", GOOD)
    monkeypatch.syspath_prepend(str(folder.parent / "elsewhere"))
    found = loaded(folder, "mine.trend.Good")
    assert found.source_hash == sha256(path.read_bytes()).hexdigest()


def test_a_registered_name_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(folder.parent / "site", monkeypatch, "nice-trend = nice:Good", "nice.py", GOOD)
    assert type(loaded(folder, "nice-trend").strategy).__name__ == "Good"


def install(
    site: Path, monkeypatch: pytest.MonkeyPatch, line: str, name: str, source: str, package: str = "nice"
) -> None:
    write(site, name, source)
    write(site, f"{package}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    write(site, f"{package}-1.0.dist-info/entry_points.txt", f"[{STRATEGIES}]\n{line}\n")
    monkeypatch.syspath_prepend(str(site))


def test_two_folders_never_meet_and_a_changed_file_is_read_anew(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write(folder, "good.py", GOOD)
    write(other, "good.py", GOOD.replace("param(3", "param(4"))
    one, two = StrategyLoader(folder), StrategyLoader(other)
    assert vars(_ok(one))["fast"] == 3
    assert vars(_ok(two))["fast"] == 4
    write(folder, "good.py", GOOD.replace("param(3", "param(5"))
    assert vars(_ok(one))["fast"] == 3, "a running loader keeps what it has"
    assert vars(_ok(StrategyLoader(folder)))["fast"] == 5
    assert not list(folder.rglob("*.pyc"))
    assert str(folder) not in sys.path


def _ok(loader: StrategyLoader) -> Strategy:
    result = loader.load(entry("good.Good"))
    assert isinstance(result, Loaded), str(result)
    return result.strategy


# -- what does not -----------------------------------------------------------------------------------------------------


def test_a_broken_file_takes_no_other_strategy_down(folder: Path) -> None:
    write(folder, "good.py", GOOD)
    write(folder, "broken.py", "def f(:\n")
    loader = StrategyLoader(folder)
    assert isinstance(loader.load(entry("broken.Broken")), LoadFailure)
    assert isinstance(loader.load(entry("good.Good")), Loaded)


@pytest.mark.parametrize(
    ("source", "line", "what"),
    [
        (
            "from quantd import Strategy\n\nclass A(Strategy)\n    pass\n",
            3,
            "SyntaxError: expected ':': class A(Strategy)",
        ),
        ("x = 1\n  y = 2\n", 2, "IndentationError: unexpected indent"),
        ("import quantd\nimport no_such_package\n", 2, "ModuleNotFoundError: No module named 'no_such_package'"),
        ("from quantd import Stratgy\n", 1, "ImportError: cannot import name 'Stratgy'"),
        ("def f():\n    return 1 / 0\n\nf()\n", 2, "ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(3)\n", 2, "SystemExit: 3"),
        ("from quantd import Strategy, param\nclass A(Strategy):\n    x: 'Nope' = param(1)\n", 2, "Nope"),
    ],
)
def test_an_import_error_names_file_line_and_cause(folder: Path, source: str, line: int, what: str) -> None:
    path = folder / "bad.py"
    path.write_text(source, encoding="utf-8")
    told = failure(folder, "bad.A")
    assert (told.file, told.line) == (str(path), line)
    assert what in told.what
    assert str(told).startswith(f"{path}:{line}: ")


def test_an_unknown_class_names_the_nearest(folder: Path) -> None:
    path = write(folder, "good.py", GOOD)
    assert str(failure(folder, "good.Godo")) == f"{path}: found no class Godo; did you mean Good?"
    assert failure(folder, "good.Zzz").what == "found no class Zzz; there are Good"
    write(folder, "empty.py", "X = 1\n")
    assert failure(folder, "empty.Zzz").what == "found no class Zzz; it holds no strategy at all"


def test_what_is_no_strategy_is_refused(folder: Path) -> None:
    write(folder, "plain.py", "from quantd import Strategy\n\n\nclass Plain:\n    pass\n\n\nnumber = 3\n")
    told = failure(folder, "plain.Plain")
    assert (told.line, told.what) == (4, "Plain is the class Plain, expected a subclass of quantd.Strategy")
    assert failure(folder, "plain.number").what == "number is of type int, expected a subclass of quantd.Strategy"
    assert "expected a subclass" in failure(folder, "plain.Strategy").what


def test_an_unknown_module_names_the_nearest(folder: Path) -> None:
    write(folder, "sma_cross.py", GOOD)
    told = failure(folder, "sma_corss.Good").what
    assert told.startswith("found no module 'sma_corss'")
    assert told.endswith("did you mean sma_cross.Class?")
    assert failure(folder, "sma_cross").what.endswith("expected module.Class; did you mean sma_cross.Class?")


def test_a_folder_that_does_not_exist_is_a_located_failure(tmp_path: Path) -> None:
    assert str(tmp_path / "none") in failure(tmp_path / "none", "a.B").what


def test_a_file_and_a_package_of_one_name_are_refused(folder: Path) -> None:
    write(folder, "good.py", GOOD)
    write(folder, "good/__init__.py", GOOD)
    told = failure(folder, "good.Good").what
    assert told.startswith("several files have the name good")
    assert str(folder / "good" / "__init__.py") in told


def test_two_packages_that_register_one_name_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(folder.parent / "a", monkeypatch, "twice = nice_a:Good", "nice_a.py", GOOD, "nice_a")
    install(folder.parent / "b", monkeypatch, "twice = nice_b:Good", "nice_b.py", GOOD, "nice_b")
    assert failure(folder, "twice").what == "several packages register the strategy 'twice': nice_a, nice_b"
    found, failures = load_registered(STRATEGIES)
    assert "twice" in found
    assert [one.id for one in failures] == ["twice"]


def test_a_registered_package_that_fails_names_its_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(folder.parent / "site", monkeypatch, "bad = badly:Good", "badly.py", "x = 1\nraise RuntimeError('no')\n")
    told = failure(folder, "bad")
    assert (told.line, told.what) == (2, "RuntimeError: no")
    assert load_registered(STRATEGIES)[1] == [LoadFailure("bad", "RuntimeError: no", told.file, 2)]


def test_a_fault_inside_a_module_by_path_names_that_module(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(folder.parent, "elsewhere/faulty.py", "import quantd\nimport not_there\n")
    monkeypatch.syspath_prepend(str(path.parent))
    told = failure(folder, "faulty.Good")
    assert (told.file, told.line) == (str(path), 2)


@pytest.mark.parametrize(
    ("params", "what"),
    [
        (
            {"fats": "3"},
            "params.fats: Good has no such parameter, expected one of fast, quantity, label; did you mean fast?",
        ),
        ({"fast": "three"}, "params.fast: found three, expected a whole number"),
        ({"fast": "0"}, "params.fast: found 0, expected a whole number at least 1"),
        ({"quantity": "NaN"}, "params.quantity: found NaN, expected a decimal number"),
        ({"label": "z"}, "params.label: found z, expected one of x, y"),
    ],
)
def test_a_wrong_parameter_is_told_with_its_place_in_the_configuration(
    folder: Path, params: dict[str, str], what: str
) -> None:
    write(folder, "good.py", GOOD)
    told = StrategyLoader(folder).load(entry("good.Good", params=params), Written())
    name = next(iter(params))
    assert told == LoadFailure("one", what, f"strategies.one.params.{name}@quantd.yaml", 7)
    assert failure(folder, "good.Good", params=params) == LoadFailure("one", what)


def test_a_missing_parameter_is_told(folder: Path) -> None:
    write(folder, "good.py", GOOD.replace("param(3, ge=1)", "param(ge=1)"))
    told = StrategyLoader(folder).load(entry("good.Good"), Written())
    assert isinstance(told, LoadFailure)
    assert told.what == "params.fast: found nothing, expected a value: it has no default"
    assert told.file == "strategies.one.params@quantd.yaml"


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("self.bars('paper:XRP-USDT')", "setup: ValueError: 'paper:XRP-USDT' is not an instrument of one"),
        ("self.buy(self.instrument, 1)", "setup: RuntimeError: orders are not possible in setup()"),
        ("self.instruments['a']", "setup: KeyError: 'a'"),
        ("self.bars().track(SMA(0))", "setup: ValueError: length is 0"),
    ],
)
def test_an_error_in_setup_names_the_line(folder: Path, body: str, what: str) -> None:
    source = GOOD.replace("self.average = self.bars().track(SMA(self.fast))", body)
    path = write(folder, "good.py", source)
    told = failure(folder, "good.Good")
    assert told.what.startswith(what)
    assert path.read_text().splitlines()[told.line - 1].strip() == body


@pytest.mark.parametrize(
    ("call", "what"),
    [
        ("cron='0 9 * * 1 UTC'", "expected the weekday as mon to sun"),
        ("cron='0 9 * *'", "expected five cron fields"),
        ("every_s=0.0", "expected above 0"),
        ("every_s=float('nan')", "expected above 0"),
    ],
)
def test_a_timer_that_could_never_fire_is_told_at_load(folder: Path, call: str, what: str) -> None:
    write(
        folder, "good.py", GOOD.replace("self.average = self.bars().track(SMA(self.fast))", f"self.timer('t', {call})")
    )
    assert what in failure(folder, "good.Good").what


# -- needs -------------------------------------------------------------------------------------------------------------


class Wants(Strategy):
    needs = {Market, Limit, Stop, Protect}  # noqa: RUF012 -- as authors write it


def test_needs_are_held_against_what_a_venue_can_do() -> None:
    assert set(support(Wants, make_capabilities()).values()) == {Support.NATIVE}
    plain = support(Wants, make_plain_capabilities())
    assert plain == {
        "Limit": Support.NATIVE,
        "Market": Support.EMULATED,
        "Protect": Support.EMULATED,
        "Stop": Support.EMULATED,
    }
    assert unmet(Wants, make_plain_capabilities()) == []
    assert unmet(Wants, make_capabilities(stop=Support.REFUSED, bracket=Support.REFUSED)) == ["Stop"]


def test_a_need_that_nobody_knows_is_unmet() -> None:
    class Odd(Strategy):
        needs = {msgspec.Struct}  # noqa: RUF012 -- as authors write it

    assert unmet(Odd, make_capabilities()) == ["Struct"]


def test_what_cannot_be_read_is_a_failure_and_no_traceback(folder: Path) -> None:
    """A file of another user's, a broken disk. Method: what even root cannot read or look up."""
    (folder / "odd.py").symlink_to("/proc/self/mem")
    told = failure(folder, "odd.Odd")
    assert (told.what, told.file) == ("cannot be read: Input/output error", str(folder / "odd.py"))
    found = StrategyLoader(folder).find("odd.Odd")
    assert isinstance(found, LoadFailure)
    assert failure(folder, f"{'o' * 300}.Odd").what == "cannot be read: File name too long"
