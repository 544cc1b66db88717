"""Notices as text: the built-in template, one of the operator's own, and the summary of what was held back.

Used by the channels, and by the settings to check a template. Never fails for a notice's content.
"""

from datetime import UTC, datetime
from string import Template
from typing import Final

from quantd.notify.notice import Message, Notice

FIELDS: Final = ("weight", "source", "what", "where", "why", "since", "do", "runbook", "key", "state")
"""What a template may name, each as `$field`."""
_LISTED_MAX: Final = 20


def faults(template: str) -> str:
    """Return what is wrong with a template of an operator's own; empty for a good one."""
    parsed = Template(template)
    if not parsed.is_valid():
        return "a `$` that begins no field; write `$$` for the sign itself"
    unknown = sorted(set(parsed.get_identifiers()) - set(FIELDS))
    return f"no such field: {', '.join(unknown)}" if unknown else ""


def subject(message: Message) -> str:
    """Return one line that says the most urgent of it."""
    first = max(message.notices, key=lambda one: one.weight)
    more = f" and {len(message.notices) - 1} more" if len(message.notices) > 1 else ""
    return " ".join(f"[{message.weight.name}] {message.source}: {first.what} ({first.where}){more}".split())


def text(message: Message, template: str = "") -> str:
    """Return a message as text; `template` is an operator's own for single notices, empty for the built-in one."""
    if len(message.notices) > 1:
        return _summary(message)
    notice = message.notices[0]
    if template:
        return Template(template).substitute(_fields(message.source, notice))
    rows = [("why", notice.why), ("since", instant(notice.since_ns)), ("do", notice.do)]
    rows += [("runbook", f"docs/operations/runbooks/{notice.runbook}.md" if notice.runbook else "")]
    return "\n".join([subject(message), *(f"{name}: {value}" for name, value in rows if value)])


def instant(at_ns: int) -> str:
    """Return a point in time for people, UTC."""
    return datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _fields(source: str, notice: Notice) -> dict[str, str]:
    given = {name: getattr(notice, name) for name in ("what", "where", "why", "do", "runbook", "key", "state")}
    return {**given, "weight": notice.weight.name, "source": source, "since": instant(notice.since_ns)}


def _summary(message: Message) -> str:
    """Return what was held back, the most urgent first, then the oldest."""
    ordered = sorted(message.notices, key=lambda one: -one.weight)
    lines = [f"[{message.weight.name}] {message.source}: {len(ordered)} notices held back by the rate limit"]
    lines += [
        f"- {instant(one.since_ns)} [{one.weight.name}] {one.what} ({one.where}){': ' if one.why else ''}{one.why[:120]}"
        for one in ordered[:_LISTED_MAX]
    ]
    if len(ordered) > _LISTED_MAX:
        lines.append(f"and {len(ordered) - _LISTED_MAX} more, in the log as notice_told")
    return "\n".join(lines)
