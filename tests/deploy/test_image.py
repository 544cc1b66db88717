"""The Dockerfile: what a linter says of it, and that it keeps what docs/operations/container.md says of the image."""

import json
import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import requires
from pathlib import Path

import pytest

from tests.deploy.tools import ROOT, fails, run, tool

DOCKERFILE = ROOT / "Dockerfile"
LOCK = ROOT / "requirements/run.lock"
IGNORED = "--ignore=DL3006"  # the base is an argument; DL3006 wants a tag where it cannot see the default


def instructions() -> list[tuple[str, str]]:
    """Each instruction of the Dockerfile with its words, lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split()[0], line.split(maxsplit=1)[1].strip()) for line in text.splitlines() if line.strip()]


def last_stage() -> list[tuple[str, str]]:
    every = instructions()
    return every[max(number for number, (name, _) in enumerate(every) if name == "FROM") :]


def values(name: str) -> list[str]:
    return [words for what, words in last_stage() if what == name]


def test_hadolint_has_nothing_to_say_about_the_dockerfile() -> None:
    assert run(tool("hadolint"), IGNORED, str(DOCKERFILE)) == ""


@pytest.mark.parametrize(
    ("right", "wrong", "rule"),
    [
        ('ENTRYPOINT ["quantd"]', "ENTRYPOINT quantd", "DL3025"),
        ("WORKDIR /opt/quantd", "RUN cd /opt/quantd", "DL3003"),
        ("STOPSIGNAL SIGTERM", "RUN apt-get install curl", "DL3008"),
    ],
)
def test_hadolint_tells_of_a_planted_mistake(tmp_path: Path, right: str, wrong: str, rule: str) -> None:
    text = DOCKERFILE.read_text()
    assert right in text
    wrong_one = tmp_path / "Dockerfile"
    wrong_one.write_text(text.replace(right, wrong))
    fails([tool("hadolint"), IGNORED, str(wrong_one)], rule)


def test_the_image_runs_as_a_high_numbered_user_and_starts_the_command_itself() -> None:
    (user,) = values("USER")
    assert all(int(part) > 10_000 for part in user.split(":"))
    assert json.loads(values("ENTRYPOINT")[0]) == ["quantd"]
    assert json.loads(values("CMD")[0]) == ["run", "config/paper.yaml"]
    assert values("STOPSIGNAL") == ["SIGTERM"]
    assert "/livez" in values("HEALTHCHECK")[0]
    assert json.loads(values("HEALTHCHECK")[0].partition("CMD ")[2])[0] == "python"


def test_requirements_are_checked_by_their_hashes_and_the_last_stage_installs_nothing() -> None:
    installs = [words for name, words in instructions() if name == "RUN" and "pip install" in words]
    assert "--require-hashes" in installs[0]
    assert "--no-deps --no-build-isolation" in installs[1]
    assert not [words for words in values("RUN") if "pip install" in words or "apt" in words]


def needed(names: Iterable[str], seen: set[str]) -> set[str]:
    """Packages and all that they need, as the environment of the tests has them, extras left out."""
    for name in names:
        key = re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", name)[0]).lower()
        if key not in seen:
            seen.add(key)
            wanted = [one for one in requires(key) or () if "extra ==" not in one and "python_version <" not in one]
            needed((one for one in wanted if "sys_platform" not in one and "platform_system" not in one), seen)
    return seen


def test_what_only_builds_the_project_leaves_the_image() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    backends = [line for line in (ROOT / "requirements/build.in").read_text().splitlines() if line and line[0] != "#"]
    only_builds = needed(backends, set()) - needed(project["dependencies"], set())
    (step,) = [words for name, words in instructions() if name == "RUN" and "uninstall --yes hatchling" in words]
    leaving = step.partition("uninstall --yes ")[2].partition(" &&")[0].split()
    assert set(leaving) == only_builds
    assert "pip uninstall --yes pip" in step


def test_the_label_names_the_version_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"VERSION={version}" in values("ARG")
    labels = " ".join(values("LABEL"))
    for key in ("title", "licenses", "version", "revision", "created", "base.name", "base.digest"):
        assert f"org.opencontainers.image.{key}=" in labels


def test_everything_that_is_copied_passes_the_ignore_file_and_nothing_secret_does() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*", "nothing goes in that is not named"
    let_in = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        source.rstrip("/")
        for name, words in instructions()
        if name == "COPY" and "--from" not in words
        for source in words.split()[:-1]
    }
    assert copied <= let_in
    assert not [name for name in let_in if re.search(r"key|secret|password|\.git|^config$|^var", name)]


def packages(lock: Path) -> set[str]:
    """Names of the pinned packages of a lock file."""
    return {name.lower() for name in re.findall(r"^([A-Za-z0-9_.-]+)==", lock.read_text(), re.MULTILINE)}


def bill_of(lock: Path, folder: Path) -> tuple[str, set[str]]:
    """What the bill of materials of a lock file is for, and the packages that it names."""
    written = folder / "sbom.json"
    run(
        tool("cyclonedx-py"), "requirements", str(lock), "--pyproject", "pyproject.toml",
        "--output-reproducible", "--validate", "-o", str(written), timeout_s=120,
    )  # fmt: skip
    bill = json.loads(written.read_text())
    return bill["metadata"]["component"]["name"], {one["name"].lower() for one in bill["components"]}


def test_the_bill_of_materials_names_every_package_of_the_lock(tmp_path: Path) -> None:
    subject, named = bill_of(LOCK, tmp_path)
    assert subject == "quantd"
    assert packages(LOCK) <= named


def test_a_package_that_the_bill_of_materials_lacks_is_told(tmp_path: Path) -> None:
    text = LOCK.read_text()
    shorter = tmp_path / "run.lock"
    shorter.write_text(re.sub(r"^aiohttp==.*?(?=^[a-z])", "", text, flags=re.DOTALL | re.MULTILINE))
    assert packages(LOCK) - bill_of(shorter, tmp_path)[1] == {"aiohttp"}
