"""Makes two Debian root file systems for `make ops`, where no registry can be reached: a base image and a machine to boot.

The base image, `.ops/base.tar`, takes the place of python:3.12-slim-bookworm: the same Debian, the libraries
that CPython needs, and this machine's own CPython under /usr/local. Nothing that is said about the size or the
vulnerabilities of the true base can be read from it. The machine, `.ops/machine`, is the same with systemd, for systemd-nspawn. Needs
root and debootstrap.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from scripts.fetching import Missing, run

LOCK = Path(__file__).parent.parent / "requirements" / "run.lock"
SUITE = "bookworm"
LIBRARIES = (
    "ca-certificates", "libbz2-1.0", "libcrypt1", "libexpat1", "libffi8", "liblzma5", "libncursesw6", "libnsl2",
    "libreadline8", "libsqlite3-0", "libssl3", "libuuid1", "zlib1g",
)  # fmt: skip
"""Debian's libraries that CPython is linked with."""
MACHINE = ("systemd", "systemd-sysv", "dbus", "procps")
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
_WANTED = ("python3.12", "python3.13", "python3.11")


def _python() -> tuple[Path, str]:
    """Where a CPython lives that can be copied, and its name: the newest that the daemon supports, 3.12 first."""
    asked = "import sys, sysconfig; print(sys.base_prefix, 'python' + sysconfig.get_python_version())"
    own = str(Path(sys.base_prefix) / "bin")
    siblings = [str(path) for path in sorted(Path(sys.base_prefix).parent.glob("*/bin"))]
    path = os.pathsep.join([os.environ.get("PATH", ""), own, *siblings])
    for name in _WANTED:
        found = shutil.which(name, path=path)
        done = found and subprocess.run([found, "-c", asked], capture_output=True, text=True, check=False)
        if done and done.returncode == 0:
            prefix, name = done.stdout.split()
            if prefix not in ("/usr", "/usr/local"):  # those hold more than Python
                return Path(prefix), name
    raise Missing(f"no CPython in a folder of its own was found (looked for {', '.join(_WANTED)})")


def debian(root: Path, packages: Iterable[str]) -> None:
    """Make a minimal Debian with these packages, and this machine's CPython and certificates, at `root`."""
    if os.geteuid() != 0:
        raise Missing("debootstrap needs root")
    prefix, python = _python()
    shutil.rmtree(root, ignore_errors=True)
    names = ",".join((*LIBRARIES, *packages))
    run("debootstrap", "--variant=minbase", f"--include={names}", SUITE, str(root))
    local = root / "usr/local"
    unwanted = shutil.ignore_patterns("test", "tests", "__pycache__", "site-packages", "*.a", "idlelib", "tkinter")
    shutil.copytree(prefix / "lib" / python, local / "lib" / python, symlinks=True, ignore=unwanted)
    (local / "lib" / python / "site-packages").mkdir()
    for library in (prefix / "lib").glob(f"lib{python}.so*"):
        shutil.copy2(library, local / "lib", follow_symlinks=False)
    shutil.copy2(prefix / "bin" / python, local / "bin")
    for link in ("python3", "python"):
        (local / "bin" / link).symlink_to(python)
    shutil.copy2(f"/{CERTIFICATES}", root / CERTIFICATES)  # this machine may reach the index through a proxy of its own
    (root / "etc/pip.conf").write_text(f"[global]\ncert = /{CERTIFICATES}\n", encoding="utf-8")
    run("chroot", str(root), "ldconfig")
    run("chroot", str(root), "python3", "-m", "ensurepip", "--default-pip")
    shutil.rmtree(root / "var/cache/apt/archives", ignore_errors=True)
    shutil.rmtree(root / "var/lib/apt/lists", ignore_errors=True)


def base_image(ops: Path) -> None:
    """Make the stand-in for the base image, as an archive that `docker import` reads."""
    root = ops / "base"
    try:
        debian(root, ())
        run("tar", "--create", "--numeric-owner", f"--directory={root}", f"--file={ops / 'base.part'}", ".")
        (ops / "base.part").rename(ops / "base.tar")
    finally:
        shutil.rmtree(root, ignore_errors=True)


def machine(ops: Path) -> None:
    """Make the machine that systemd-nspawn boots, with the locked requirements in /opt/quantd and nothing of quantd."""
    root = ops / "machine"
    try:
        debian(root, MACHINE)
        shutil.copy2(LOCK, root / "opt/run.lock")
        shutil.copy2("/etc/resolv.conf", root / "etc/resolv.conf")
        run("chroot", str(root), "python3", "-m", "venv", "/opt/quantd")
        pip = ("/opt/quantd/bin/pip", "install", "--quiet", "--no-cache-dir", "--only-binary", ":all:")
        run("chroot", str(root), *pip, "--require-hashes", "-r", "/opt/run.lock")
        machine_made(ops).touch()
    except BaseException:
        shutil.rmtree(root, ignore_errors=True)  # half a machine would count as there
        raise


def machine_made(ops: Path) -> Path:
    """The file that shows that the machine is there, with the requirements of today."""
    return ops / "machine" / f"made-for-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
