"""Lays one configuration over another: the later value wins, key by key, and keeps its own place.

Used by the loader for the files of one command line. `strategies` merge by `id`; any other list replaces the earlier
one.
"""

from quantd.config.tree import Node, identity

_BY_ID = ("strategies",)


def merged(base: Node, over: Node, path: tuple[str, ...] = ()) -> Node:
    """Return `base` with `over` laid on it; neither is changed."""
    if isinstance(base.value, dict) and isinstance(over.value, dict):
        children = dict(base.value)
        for key, child in over.value.items():
            earlier = children.get(key)
            children[key] = child if earlier is None else merged(earlier, child, (*path, key))
        return Node(children, over.origin, over.key_origin)
    if path == _BY_ID and isinstance(base.value, list) and isinstance(over.value, list):
        return Node(_by_id(base.value, over.value), over.origin, over.key_origin)
    return over


def _by_id(base: list[Node], over: list[Node]) -> list[Node]:
    later: dict[str, Node] = {}
    for item in over:
        if (name := identity(item)) is not None:
            later.setdefault(name, item)
    known = {identity(item) for item in base}
    kept = [
        merged(item, later[name], ("strategies", name))
        if (name := identity(item)) is not None and name in later
        else item
        for item in base
    ]
    # An id that is written twice in the same file stays twice, for the check that refuses it.
    seen: set[str] = set()
    for item in over:
        name = identity(item)
        if name is None or name not in known or name in seen:
            kept.append(item)
        else:
            seen.add(name)
    return kept
