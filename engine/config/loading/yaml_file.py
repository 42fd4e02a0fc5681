"""Reading YAML into plain dicts and lists, without what only YAML has: other types than JSON's, endless documents.

Who has no such file never loads it: the parser takes a while.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from engine.config.loading.document import twice

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:
    # A PyYAML built without libyaml: slower, and otherwise the same.
    from yaml import SafeLoader  # type: ignore[assignment]

#: What aliases may come to when they are written out; the largest files of real life have some 100,000.
MAX_YAML_NODES = 2_000_000
_MERGE = "tag:yaml.org,2002:merge"


def parse(content: str) -> Any:
    """What the text holds. ValueError, with line and column where there are any."""
    try:
        loader = _YamlLoader(content)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _check(node, {}, set())
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
        raise ValueError(f"{place}not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"not valid YAML: {' '.join(str(error).split())}") from None


class _YamlLoader(SafeLoader):
    """Knows the words that YAML 1.2 and JSON have in common. The many others of YAML 1.1 (`no`, `010`, `12:30`, a date)
    stay texts: an application's key must not turn into another one."""

    # The class's own, or everybody's would be changed.
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - the library's name for it


for _tag, _form, _first in (
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)\Z", "tTfF"),
    ("int", r"-?(?:0|[1-9][0-9]{0,17})\Z", "-0123456789"),
    ("float", r"-?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,18}\Z", "-0123456789"),
    ("null", r"(?:~|null|Null|NULL|)\Z", ["~", "n", "N", ""]),
    ("merge", r"<<\Z", "<"),
):
    _YamlLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_form), list(_first))


def _check(node: yaml.Node, sizes: dict[yaml.Node, int], around: set[yaml.Node]) -> int:
    """How many nodes this one is when its aliases are written out. ValueError for what no configuration may hold."""
    known = sizes.get(node)
    if known is not None:
        return known
    if node in around:
        raise ValueError(f"{_place(node)}: is part of itself")
    around.add(node)
    size = 1
    if isinstance(node, yaml.MappingNode):
        names: set[str] = set()
        for key, value in node.value:
            if key.tag != _MERGE:
                if key.tag != "tag:yaml.org,2002:str":
                    raise ValueError(f"{_place(key)}: a key that is not text; put it into quotes")
                if key.value in names:
                    raise ValueError(f"{_place(key)}: {twice(key.value)}")
                names.add(key.value)
            size += _check(value, sizes, around)
    elif isinstance(node, yaml.SequenceNode):
        size += sum(_check(item, sizes, around) for item in node.value)
    if size > MAX_YAML_NODES:
        raise ValueError(f"{_place(node)}: its aliases come to more than {MAX_YAML_NODES} values")
    around.discard(node)
    sizes[node] = size
    return size


def _place(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}, column {node.start_mark.column + 1}"
