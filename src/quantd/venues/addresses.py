"""Addresses of venues: which are safe to send a key to, which never leave this machine, and which are the same place.

Used by the venues' settings, and by the composition root where something is shared or locked by address. Looks no name up:
what two names mean is decided by how they are written.
"""

import ipaddress
from urllib.parse import SplitResult, urlsplit

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def is_on_this_machine(address: str) -> bool:
    """Whether an address is one that never leaves this machine."""
    return urlsplit(address).hostname in _LOOPBACK


def is_safe(url: SplitResult, scheme: str) -> bool:
    """Whether what is sent there can be read by nobody else, and the address holds no user.

    Args:
        url: The address.
        scheme: Without encryption, `http` or `ws`; with it, an `s` follows.
    """
    encrypted = url.scheme == f"{scheme}s" or (url.scheme == scheme and url.hostname in _LOOPBACK)
    return encrypted and bool(url.hostname) and url.username is None


def http_address(value: str | None) -> str | None:
    """Return an address that keys may be sent to, without a trailing slash; for a field validator.

    Raises:
        ValueError: it is none; says what one looks like.
    """
    if value is None:
        return None
    url = urlsplit(value)
    if not is_safe(url, "http") or url.path not in ("", "/") or url.query or not _has_sound_port(url):
        raise ValueError("https://HOST[:PORT], or http:// on this machine, without user, path or query")
    return value.rstrip("/")


def place_of(address: str) -> str:
    """Return `host:port`, equal for any two addresses that name one server: what locks and shared budgets go by.

    The scheme does not count (a port has one server, whatever is spoken to it), nor do upper case, a port that the scheme
    implies, a dot at the end, a path or other ways to write an IP address. All names of this machine are one: a
    server that listens on all of its addresses answers to each of them, and two daemons on one account cost more than a
    second server that needs a port of its own.
    """
    url = urlsplit(address)
    port = _PORTS.get(url.scheme) if url.port is None else url.port
    return f"{_host(url.hostname or '')}:{port}"


def _host(name: str) -> str:
    name = name.rstrip(".")
    try:
        ip = ipaddress.ip_address(name)
    except ValueError:
        return "localhost" if name.endswith(".localhost") else name
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if ip.is_loopback or ip.is_unspecified:
        return "localhost"
    return f"[{ip}]" if ip.version == 6 else str(ip)


def _has_sound_port(url: SplitResult) -> bool:
    try:
        return url.port != 0
    except ValueError:
        return False
