"""Makes the chart's README: the page `README.md.in`, with a table of every value from the comments of values.yaml.

`python scripts/chart_readme.py` rewrites helm/quantd/README.md; a test compares both. In values.yaml each value that an
operator sets has a comment above it that begins with its path: `# image.tag: ...`.
"""

import json
import re
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parent.parent / "helm" / "quantd"
_COMMENT = re.compile(r"^ *# ([a-zA-Z][\w.]*): (.+)$")
_MORE = re.compile(r"^ *# (?! )(.+)$")
_SHOWN_MAX = 40


def comments() -> dict[str, str]:
    """Return what values.yaml says about each value, by path."""
    found: dict[str, str] = {}
    path = ""
    for line in (CHART / "values.yaml").read_text(encoding="utf-8").splitlines():
        if match := _COMMENT.match(line):
            path = match[1]
            found[path] = match[2]
        elif path and (more := _MORE.match(line)):
            found[path] += f" {more[1]}"
        else:
            path = ""
    return found


def value_of(values: Any, path: str) -> Any:
    """Return the default that stands at a path.

    Raises:
        KeyError: when nothing is there.
    """
    for key in path.split("."):
        values = values[key]
    return values


def readme() -> str:
    """Return the page."""
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    rows = []
    for path, text in comments().items():
        shown = json.dumps(value_of(values, path))
        rows.append(f"| `{path}` | {f'`{shown}`' if len(shown) <= _SHOWN_MAX else 'see values.yaml'} | {text} |")
    page = (CHART / "README.md.in").read_text(encoding="utf-8")
    return page.replace("VALUES", "\n".join(["| value | default | meaning |", "|---|---|---|", *rows]))


if __name__ == "__main__":
    (CHART / "README.md").write_text(readme(), encoding="utf-8")
