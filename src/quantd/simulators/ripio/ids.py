"""Ids as the venue has them: UUIDs in upper case, and different from those of an earlier run.

Derived from the exchange's own ids, so that equal runs have equal ids.
"""

from hashlib import sha256


def uuid_of(tag: str, name: str) -> str:
    """Return the UUID for a name within a run."""
    digits = sha256(f"{tag}/{name}".encode()).hexdigest().upper()
    variant = "89AB"[int(digits[16], 16) % 4]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"
