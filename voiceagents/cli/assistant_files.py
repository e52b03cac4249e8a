"""How do assistants come out of the database into a file, and back in? YAML or JSON, the same content.

YAML is read by the rules of version 1.2: `no` is a word, and 17:00 a time of day, not 1020.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml

from voiceagents.assistants.draft import AssistantDraft, DraftProblem, read
from voiceagents.cli.problems import Problem
from voiceagents.cli.surroundings import text_of

_FALSE_OR_TRUE = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_WHOLE = re.compile(r"^[-+]?[0-9]+$")
_FRACTION = re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$")
_NOTHING = re.compile(r"^(?:~|null|Null|NULL|)$")


class _Yaml(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  the library's own name and form


for _tag, _pattern, _first in (
    ("bool", _FALSE_OR_TRUE, list("tTfF")),
    ("int", _WHOLE, list("-+0123456789")),
    ("float", _FRACTION, list("-+0123456789.")),
    ("null", _NOTHING, ["~", "n", "N", ""]),
):
    _Yaml.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, _first)  # pyright: ignore[reportUnknownMemberType]


def written(drafts: Sequence[AssistantDraft], *, as_json: bool) -> str:
    """The file's text: what differs from the defaults, in the order of the fields."""
    content = {"assistants": [_told(draft) for draft in drafts]}
    if as_json:
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def _told(draft: AssistantDraft) -> dict[str, Any]:
    return draft.model_dump(mode="json", exclude_defaults=True)


def drafts_in(file: Path) -> list[AssistantDraft]:
    """The assistants in a file (`-`: standard input): a list under `assistants`, or one alone.

    Raises:
        Problem: it cannot be read, or an assistant in it is not sound; the message has a line for each fault.
    """
    text = text_of("FILE", None, file)
    try:
        content: object = json.loads(text) if text.lstrip().startswith(("{", "[")) else yaml.load(text, _Yaml)  # noqa: S506  it is a SafeLoader
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        raise Problem(f"{file} is broken: {error}") from None
    except RecursionError:
        raise Problem(f"{file} is nested too deep") from None
    if isinstance(content, dict) and "assistants" in content:
        unknown = set(cast(dict[str, object], content)) - {"assistants"}
        if unknown:
            raise Problem(f"{file}: beside `assistants` there is nothing to be read, and {sorted(unknown)} is there")
        content = cast(dict[str, object], content)["assistants"]
    elif isinstance(content, dict):
        content = [cast(object, content)]
    if not isinstance(content, list) or not content:
        raise Problem(f"{file}: no assistants in it; write them as a list under `assistants:`")
    return _read(file, cast(list[object], content))


def _read(file: Path, entries: Sequence[object]) -> list[AssistantDraft]:
    drafts: list[AssistantDraft] = []
    faults: list[str] = []
    for place, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict):
            faults.append(f"assistant {place}: expected an id, a name and what else is set on it")
            continue
        values = cast(Mapping[str, Any], entry)
        try:
            drafts.append(read(values))
        except DraftProblem as problem:
            name = values.get("id") or values.get("name") or place
            faults += [f"assistant {name}: {line}" for line in str(problem).splitlines()]
    ids = [draft.id for draft in drafts]
    faults += [f"assistant {twice}: it is there twice" for twice in sorted({one for one in ids if ids.count(one) > 1})]
    if faults:
        raise Problem(f"{file} was not read; nothing is changed:\n  " + "\n  ".join(faults))
    return drafts
