"""The shape of the house: data flows one way, and a fresh reader finds what a module is for in its first line.

web, cli → campaigns → calls → livekit (the agent) → history
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "voiceagents"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "static" not in path.parts)
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
KINDS = {"unit", "stack", "browser", "faults"}

MUST_NOT_IMPORT = {
    "voiceagents.assistants": ["calls", "campaigns", "livekit", "web", "cli"],
    "voiceagents.calendars": ["assistants", "calls", "campaigns", "livekit", "web", "cli"],
    "voiceagents.calls": ["livekit", "campaigns", "web", "cli"],
    "voiceagents.livekit": ["campaigns", "web", "cli"],
    "voiceagents.campaigns": ["livekit", "web", "cli"],
    "voiceagents.webhooks": ["livekit", "campaigns", "web", "cli"],
    "voiceagents.web": ["cli"],
    "voiceagents.speech": ["assistants", "calls", "campaigns", "livekit", "web", "cli"],
    "voiceagents.phone": ["logs", "db", "settings", "assistants", "calls", "campaigns", "livekit", "web", "cli"],
    "voiceagents.logs": ["db", "settings", "assistants", "calls", "campaigns", "livekit", "web", "cli"],
    "voiceagents.db": ["settings", "assistants", "calls", "campaigns", "livekit", "web", "cli"],
    "voiceagents.settings": ["db", "assistants", "calls", "campaigns", "livekit", "web", "cli"],
}
# Where the agent's parts are put together: it hands the campaigns' last word to the worker, which knows no campaigns.
PROGRAM = "voiceagents.agent"
ONLY_UNDER = {
    "livekit.agents": ["voiceagents.livekit", PROGRAM],
    "livekit.plugins": ["voiceagents.livekit"],
    "procrastinate": ["voiceagents.campaigns", "voiceagents.migrations"],
}
NAMELESS = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc"}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path) -> Iterator[str]:
    """Every module that the file imports, by its full name, wherever in the file it does so."""
    package = name_of(path) if path.name == "__init__.py" else name_of(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)


def is_under(module: str, name: str) -> bool:
    return module == name or module.startswith(f"{name}.")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_arrow_points_upstream(path: Path) -> None:
    module = name_of(path)
    forbidden = [
        f"voiceagents.{part}" for above, parts in MUST_NOT_IMPORT.items() if is_under(module, above) for part in parts
    ]
    wrong = {imported for imported in imports_of(path) if any(is_under(imported, name) for name in forbidden)}
    assert not wrong, f"{module} reaches upstream: {sorted(wrong)}"


@pytest.mark.parametrize("library", ONLY_UNDER)
def test_a_library_is_known_to_one_part_only(library: str) -> None:
    users = {name_of(path) for path in MODULES if any(is_under(imported, library) for imported in imports_of(path))}
    strangers = {user for user in users if not any(is_under(user, part) for part in ONLY_UNDER[library])}
    assert not strangers, f"{library} is used by {sorted(strangers)}"


def test_the_rules_see_every_way_to_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    module = tmp_path / "voiceagents" / "calls" / "x.py"
    module.parent.mkdir(parents=True)
    module.write_text(
        "import voiceagents.livekit.sip\nfrom voiceagents import livekit\nfrom voiceagents.cli import main\n"
        "def f():\n    from ..campaigns import models\n    from . import history\n"
    )
    assert {
        "voiceagents.livekit.sip", "voiceagents.livekit", "voiceagents.cli", "voiceagents.campaigns",
        "voiceagents.calls.history",
    } <= set(imports_of(module))  # fmt: skip


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_is_small_has_a_name_and_says_what_it_is_for(path: Path) -> None:
    assert path.stem not in NAMELESS
    source = path.read_text()
    assert len(source.splitlines()) <= 400
    body = ast.parse(source).body
    assert not body or ast.get_docstring(ast.parse(source)), "the first statement is no docstring"


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT / "tests")))
def test_every_test_carries_its_kind(path: Path) -> None:
    tree = ast.parse(path.read_text())
    if kinds_in(assigned_to(tree, "pytestmark")):
        return
    without = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not any(kinds_in(decorator) for decorator in node.decorator_list)
    ]
    assert not without, f"no marker of {sorted(KINDS)}: {without}"


def assigned_to(tree: ast.Module, name: str) -> ast.AST | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            return node.value
    return None


def kinds_in(node: ast.AST | None) -> set[str]:
    """Markers like `pytest.mark.unit` in an expression."""
    if node is None:
        return set()
    return {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)} & KINDS
