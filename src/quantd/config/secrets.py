"""Where secrets come from: the environment, or a file that holds one and nothing else.

Used by the checks. What it reads goes into `SecretStr` at once and into no message: not even the name of a file that
was not found, because a secret pasted in the wrong place would look like one.
"""

import stat
from pathlib import Path

from pydantic import SecretStr

from quantd.config.problems import Problem
from quantd.config.tree import Node
from quantd.config.tree import Path as KeyPath

_SIZE_MAX = 65_536

Warned = tuple[KeyPath, str]
"""A key and what is unwise about it."""

INLINE = "a secret written in the file, where copies, backups and version control keep it"
"""What is wrong with a secret in YAML."""


def inline_problem(node: Node, path: KeyPath) -> Problem:
    """Return the refusal of a secret that stands in the file."""
    variable = "QUANTD__" + "__".join(key.upper().replace("-", "_") for key in path)
    return Problem(node.named_at, path, INLINE, f"{path[-1]}_file with the path of a file, or the variable {variable}")


def read_secret(node: Node, path: KeyPath, problems: list[Problem], warnings: list[Warned]) -> SecretStr | None:
    """Return the secret in the file that `node` names; what is wrong goes to `problems`."""
    if not isinstance(node.value, str) or not node.value:
        problems.append(Problem(node.origin, path, node.describe(), "the path of a file that holds the secret"))
        return None
    file = Path(node.value)
    try:
        with file.open("rb") as stream:
            raw = stream.read(_SIZE_MAX + 1)
            mode = stat.S_IMODE(file.stat().st_mode)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or "no such file").lower()
        problems.append(Problem(node.origin, path, reason, "the path of a file that can be read"))
        return None
    if mode & stat.S_IROTH:
        sentence = f"{node.origin}: {'.'.join(path)}: the file is readable by everyone; use mode 0600 or 0400"
        warnings.append((path, sentence))
    try:
        text = raw.decode(
            "utf-8-sig"
        )  # some editors begin a file with a mark, which no venue takes for a part of the key
    except UnicodeDecodeError:
        problems.append(Problem(node.origin, path, "a file that is no text", "a file that holds one line of text"))
        return None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text.strip():
        problems.append(Problem(node.origin, path, "an empty file", "a file that holds the secret"))
        return None
    if "\n" in text or len(raw) > _SIZE_MAX:
        problems.append(Problem(node.origin, path, "a file of several lines", "a file that holds the secret only"))
        return None
    if text != text.strip():
        sentence = f"{node.origin}: {'.'.join(path)}: the secret in the file begins or ends with a blank, which is sent as well"
        warnings.append((path, sentence))
    return SecretStr(text)
