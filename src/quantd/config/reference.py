"""The configuration reference as Markdown, made from the models: `docs/configuration.md` is its output.

Used by `quantd config docs` and by the test that compares the file with it.
"""

import inspect
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from quantd.config.expectations import arms, bare, expected, is_secret, model_of, struct_of
from quantd.config.limits import DAY_ENDS, LIMIT_TYPES, RATE_TYPES
from quantd.config.models import RiskSection, Root
from quantd.config.schema import DAY_ENDS_DOC, attribute_docs
from quantd.config.venue_kinds import venue_types
from quantd.engine.risk.limits import REQUIRED_LIVE, SCOPES, Limits, RateLimit, expectation

_INTRODUCTION = """\
# Configuration

<!-- Generated from the models by `quantd config docs`; a test compares it. -->

`quantd check FILE...` says everything that is wrong, each with file, line and key, and starts nothing.
`quantd config show FILE...` prints what takes effect and where each value comes from. `quantd config schema` prints a
JSON schema with which editors complete and check the file.

**Files.** YAML 1.2. Numbers are read as they are written, to the last digit. `true` and `false` are the only booleans:
`yes` and `on` are text. A key may stand once in a mapping; anchors, merge keys and tags are refused. Several files lie
over each other, `quantd run base.yaml site.yaml`: the later wins, key by key. `strategies` merge by `id`; any other list
replaces the earlier one. A key with nothing after it counts as not written.

**Environment.** `QUANTD__SECTION__KEY` overrides any key, whatever the files say: `QUANTD__LOGGING__LEVEL=debug`,
`QUANTD__VENUES__PAPER__LATENCY_S=0.1`. A strategy goes by its id with `_` for `-`:
`QUANTD__STRATEGIES__BTC_CROSS__PARAMS__FAST=5`. Names are not case-sensitive. A list or mapping is written in brackets:
`QUANTD__STRATEGIES__BTC_CROSS__INSTRUMENTS=[paper:BTC-USDT]`. A `QUANTD__` variable that names no key is an error.

**Secrets** never stand in the file. They come from a variable (`QUANTD__VENUES__IONLOOP__API_KEY`), which is removed from
the environment once it was read, or from a file that is named by the same key with `_file`
(`api_key_file: /run/secrets/ionloop`) and holds the secret in one line. The variable wins.

**Paths** count from the working directory.
"""

_LIMITS = f"""\
Money is in `risk.base_currency`, a quantity in the instrument's own unit. Where several scopes limit the same thing, all
of them bind. A limit in a scope where it makes no sense is an error. A venue that moves real money does not start
without `armed: live` and, under `risk.account`, {", ".join(f"`{name}`" for name in REQUIRED_LIVE)}.
"""


def reference() -> str:
    """Return the whole reference as Markdown."""
    parts = [_INTRODUCTION, "## The file\n", _table(Root)]
    for name, field in Root.model_fields.items():
        model = model_of(field.annotation)
        if model is RiskSection:
            parts += _risk()
        elif name == "venues":
            parts.append("## venues\n\nA mapping of a name of your own to:\n")
            for kind, venue in sorted(venue_types().items()):
                parts += _sections(f"venues.NAME with type: {kind}", venue, level=3)
        elif model is not None:
            parts += _sections(name, model, level=2)
        elif get_origin(field.annotation) is list:
            parts += _sections("strategies", get_args(field.annotation)[0], level=2)
    return "\n".join(parts).rstrip("\n") + "\n"


def _risk() -> list[str]:
    rows = []
    docs = attribute_docs(Limits)
    for name, scopes in SCOPES.items():
        rows.append((f"`{name}`", _takes(LIMIT_TYPES[name], name), ", ".join(scopes), docs[name]))
    rows.append((f"`{DAY_ENDS}`", "a time and a time zone", "account", DAY_ENDS_DOC))
    rates = [(f"`{name}`", _takes(kind), attribute_docs(RateLimit)[name]) for name, kind in RATE_TYPES.items()]
    return [
        f"## risk\n\n{_doc(RiskSection)}\n",
        _table(RiskSection),
        f"### Limits\n\n{_LIMITS}",
        _rows(("key", "takes", "scopes", "meaning"), rows),
        "### Rate limits\n\n`submit_rate`, `amend_rate` and `cancel_rate` are mappings:\n",
        _rows(("key", "takes", "meaning"), rates),
    ]


def _sections(title: str, model: type[BaseModel], *, level: int) -> list[str]:
    """Return the table of `model`, and of every section in it."""
    parts = [f"{'#' * level} {title}\n\n{_doc(model)}\n", _table(model)]
    for name, field in model.model_fields.items():
        for inner, suffix in _inner_models(field.annotation):
            parts += _sections(f"{title.split(' ')[0]}.{name}{suffix}", inner, level=min(level + 1, 4))
    return parts


def _inner_models(annotation: Any) -> Iterable[tuple[type[BaseModel], str]]:
    inner = bare(annotation)[0]
    model = model_of(inner)
    if model is not None:
        yield model, ""
        return
    for arm in arms(inner):
        origin, arguments = get_origin(arm), get_args(arm)
        item = model_of(arguments[-1 if origin is dict else 0]) if origin in (dict, list, tuple) else None
        if item is not None:
            yield item, ".NAME" if origin is dict else "[]"


def _doc(model: type[BaseModel]) -> str:
    return inspect.cleandoc(model.__doc__ or "")


def _table(model: type[BaseModel]) -> str:
    rows = []
    for name, field in model.model_fields.items():
        takes = "a secret, by variable or file only" if is_secret(field.annotation) else _field_takes(field)
        rows.append((f"`{name}`", takes, _default(field), (field.description or "").replace("\n", " ")))
    return _rows(("key", "takes", "default", "meaning"), rows)


def _field_takes(field: FieldInfo) -> str:
    if struct_of(field.annotation) is Limits:
        return "limits, see below"
    model = model_of(field.annotation)
    if getattr(model, "scalar_key", None):
        return "a name or a section"
    return "a section" if model is not None else expected(field.annotation, field)


def _takes(annotation: Any, limit: str = "") -> str:
    kind = bare(annotation)[0]
    if kind is RateLimit:
        return "a rate limit"
    if get_origin(kind) is tuple:
        return f"a list of {expected(get_args(kind)[0]).removeprefix('one of ')}"
    return expectation(limit) or expected(annotation)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True, validated_data={})
    match default:
        case None:
            return ""
        case BaseModel() | msgspec.Struct():
            return ""
        case dict() | list() | tuple():
            return ""
        case bool():
            return "`true`" if default else "`false`"
        case int() if "pattern" in str(field.metadata) or any(hasattr(mark, "func") for mark in field.metadata):
            return f"`{default}s`"
        case Decimal() | Path() | int() | float() | str():
            return f"`{default}`"
    return f"`{default}`"


def _rows(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [" | ".join(header), " | ".join("---" for _ in header)]
    lines += [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines) + "\n"
