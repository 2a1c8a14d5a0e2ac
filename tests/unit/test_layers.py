"""Imports point down only, stand at the top of a module, and no file has a name that says nothing (ARCHITECTURE 1)."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ["accounts", "catalog", "orders", "panel"]  # a later one may import an earlier one
VAGUE = re.compile(r"^(utils?|helpers?|common|core|lib|services|managers)(\.py)?$")
LEAF = ROOT / "catalog" / "providers"


def modules(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: a relative import"
            yield node.lineno, node.module or ""


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", modules(*LAYERS), ids=name)
def test_imports_point_down_only(path: Path) -> None:
    layer = LAYERS.index(path.relative_to(ROOT).parts[0])
    for line, module in imported(ast.parse(path.read_text())):
        top = module.split(".")[0]
        assert top not in LAYERS or LAYERS.index(top) <= layer, f"line {line} imports {module} from above"


@pytest.mark.parametrize("path", modules(*LAYERS), ids=name)
def test_no_import_stands_inside_a_function(path: Path) -> None:
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            assert not [line for line, _ in imported(function)], f"in {function.name}"


@pytest.mark.parametrize("path", sorted(LEAF.rglob("*.py")), ids=name)
def test_the_provider_client_is_a_leaf(path: Path) -> None:
    for line, module in imported(ast.parse(path.read_text())):
        assert module.split(".")[0] not in {"django", "celery", "rest_framework"}, f"line {line} imports {module}"
        assert module.split(".")[0] not in LAYERS or module.startswith("catalog.providers"), f"line {line}: {module}"


def test_verbs_never_import_tasks() -> None:
    for path in modules(*LAYERS):
        for line, module in imported(ast.parse(path.read_text())):
            assert not module.endswith(".tasks"), f"{name(path)}:{line} imports {module}"


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [name(path) for path in modules(*LAYERS) if any(VAGUE.match(part) for part in path.parts)] == []
