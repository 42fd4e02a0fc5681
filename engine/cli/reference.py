"""`python -m engine config reference` and `config schema`: every option as a page, and as JSON Schema for editors.

Both are read from the models of the configuration. Prints; reads no configuration and starts nothing.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema

from engine.cli.text import say
from engine.config.loading import default_app, environment
from engine.config.reference import Group, Option, groups
from engine.config.root import Config

_INTRO = """\
# Configuration

Every option of the file that `--config` names: JSON, TOML or YAML, by its ending. All are optional but what has no
default below, and `config.json` in the source lists all of them. A value is taken from the default, the file, the
environment variable and the command line, the last that says something.

| command | |
|---|---|
| `python -m engine config check` | says OK, or names every mistake with its key, its value and what is allowed |
| `python -m engine config show` | prints each value that is in force, and where it comes from |
| `python -m engine config schema` | prints a JSON Schema for editors; name it in the file's `$schema` |
| `python -m engine config reference` | prints this page |

`check` and `show` read what a start would read: the file that is named, behind `--config` or alone; else `config.json`,
`.toml`, `.yaml` or `.yml` of the folder; else the defaults and the environment.

In any text of the file `${VAR}` stands for an environment variable, and `${VAR:-default}` for one that may be missing.
Numbers and truth values may be given as text, and lists in a variable as text with commas. **R** marks what `SIGHUP`
brings into a running engine (see [operations](operations.md)); any other option waits for a restart.

This page is printed by `python -m engine config reference`, from the models that read the file.
"""


def print_reference() -> int:
    """The page in Markdown. Returns the exit status."""
    say(reference())
    return 0


def print_schema() -> int:
    """JSON Schema (draft 2020-12) of the file. Returns the exit status."""
    say(json.dumps(schema(), indent=2, ensure_ascii=False))
    return 0


def reference() -> str:
    """Without a line's end at its end."""
    return "\n".join([_INTRO, *(_table(group) for group in groups() if group.options)]).rstrip("\n")


def _table(group: Group) -> str:
    title = f"`{group.path}`" if group.path else "The outermost options"
    lines = [f"## {title}", ""]
    if group.meaning and group.path:
        lines += [_sentence(group.meaning), ""]
    lines += ["| option | default | allowed | meaning |", "|---|---|---|---|", *map(_row, group.options), ""]
    return "\n".join(lines)


def _row(option: Option) -> str:
    variables = _variables().get(option.path, [])
    name = f"`{option.path}`" + "".join(f"<br>`{variable}`" for variable in variables)
    default = "must be given" if option.default is None else f"`{option.default}`"
    meaning = " ".join(part for part in ("**R**" * option.reloads, _sentence(option.meaning)) if part)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in (name, default, option.allowed, meaning)) + " |"


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


@cache
def _variables() -> dict[str, list[str]]:
    """Option -> the variables that set it, the one that wins first."""
    found: dict[str, list[str]] = {}
    for name, option in environment.VARIABLES.items():
        found.setdefault(option, []).append(name)
    for name, key in default_app.VARIABLES.items():
        found.setdefault(f"{'.'.join(map(str, default_app.APPS))}[].{key}", []).insert(0, name)
    return found


def schema() -> dict[str, Any]:
    """What an editor needs: names, types, choices, defaults and meanings."""
    found = Config.model_json_schema(schema_generator=_Generator)
    found["$schema"] = GenerateJsonSchema.schema_dialect
    found["properties"]["$schema"] = {"type": "string"}
    by_path = {option.path: option for group in groups() for option in group.options}
    meanings = {group.path: group.meaning for group in groups()}
    _describe(found, "", found, by_path, meanings)
    for model in found.get("$defs", {}).values():
        model.pop("title", None)
    return found


def _describe(
    node: dict[str, Any], path: str, root: dict[str, Any], options: dict[str, Option], meanings: dict[str, str]
) -> None:
    """Give each property of an object what the page says of it, and go on to the objects in it."""
    node["description"] = _sentence(meanings.get(path, ""))
    for key, value in node.get("properties", {}).items():
        at = f"{path}.{key}" if path else key
        option = options.get(at)
        value.pop("title", None)
        if option is not None:
            value["description"] = ". ".join(
                part.rstrip(".") for part in (_sentence(option.meaning), f"Allowed: {option.allowed}") if part
            )
            for part in (value, *value.get("anyOf", ())):
                if "enum" in part:
                    # With the words that stand for others, which the model does not know any more.
                    part["enum"] = option.allowed.removesuffix(" or null").rstrip(",").split(", ")
        for inner, where in ((_model(value, root), at), (_model(_items(value), root), f"{at}[]")):
            if inner is not None:
                _describe(inner, where, root, options, meanings)


def _items(value: dict[str, Any]) -> dict[str, Any]:
    found = value.get("items")
    return found if isinstance(found, dict) else {}


def _model(value: dict[str, Any], root: dict[str, Any]) -> dict[str, Any] | None:
    """The object that a property refers to, by itself or beside null."""
    for part in (value, *value.get("anyOf", ()), *value.get("allOf", ())):
        if "$ref" in part:
            found: dict[str, Any] = root["$defs"][part["$ref"].rpartition("/")[2]]
            return found
    return None


class _Generator(GenerateJsonSchema):
    """Says nothing of a value that is read by a rule of its own. Any single value may be text, or null."""

    def handle_invalid_for_json_schema(self, schema: CoreSchema, error_info: str) -> JsonSchemaValue:
        return {}

    def int_schema(self, schema: Any) -> JsonSchemaValue:
        return {"type": ["integer", "string", "null"]}

    def float_schema(self, schema: Any) -> JsonSchemaValue:
        return {"type": ["number", "string", "null"]}

    def bool_schema(self, schema: Any) -> JsonSchemaValue:
        return {"type": ["boolean", "string", "null"]}

    def str_schema(self, schema: Any) -> JsonSchemaValue:
        return {"type": ["string", "number", "null"]}

    def literal_schema(self, schema: Any) -> JsonSchemaValue:
        return {"enum": schema["expected"]}
