"""The layers as pyproject.toml has them: documented, complete, and the rules at the bottom pure."""

import ast
import re
import tomllib

import pytest

from console.installation.environment import BASE_DIR

LINTER = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["tool"]["importlinter"]
LAYERS = [re.split(r"\s*\|\s*", layer) for layer in LINTER["contracts"][0]["layers"]]


def documented_layers():
    """The rooms of each row of the table in docs/architecture.md, from the top down."""
    text = (BASE_DIR / "docs" / "architecture.md").read_text()
    table = text[text.index("| layer | rooms |") :].split("\n\n")[0]
    return [re.findall(r"`(\w+)`", row.split("|")[2]) for row in table.splitlines()[2:]]


def test_the_document_has_the_layers_of_the_contract():
    assert [sorted(layer) for layer in documented_layers()] == [sorted(layer) for layer in LAYERS]


def test_every_room_is_in_a_layer():
    folder = BASE_DIR / "console"
    rooms = {path.stem for path in folder.glob("[!_]*.py")} | {
        path.parent.name for path in folder.glob("*/__init__.py")
    }
    assert rooms == {room for layer in LAYERS for room in layer}


def test_the_contracts_have_no_exceptions():
    assert not any("ignore_imports" in contract for contract in LINTER["contracts"])


def imports_inside_functions():
    for path in sorted((BASE_DIR / "console").rglob("*.py")):
        # An app's signal handlers are registered when Django is ready, not before (Django, "Applications").
        if path.name == "apps.py" or "migrations" in path.parts:
            continue
        tree = ast.parse(path.read_text())
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for node in ast.walk(function):
                    modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                    modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                    if any(module.partition(".")[0] == "console" for module in modules):
                        yield f"{path.relative_to(BASE_DIR)}:{node.lineno}"


def test_no_import_hides_inside_a_function():
    assert list(imports_inside_functions()) == []


@pytest.mark.parametrize("path", sorted((BASE_DIR / "console" / "access").glob("*.py")), ids=lambda path: path.stem)
def test_the_rules_are_pure(path):
    """No model, no query, no HTTP: of Django, the settings and the translations alone."""
    allowed = {"django.conf", "django.utils.translation", "django.utils.functional"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(("django", "console")):
            assert node.module in allowed or node.module.startswith("console.access"), node.module
        if isinstance(node, ast.Import):
            assert not any(alias.name.startswith(("django", "console")) for alias in node.names)
