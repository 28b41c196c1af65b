"""docs/configuration.md lists each environment variable that the program reads, and no other."""

import ast
import re
from collections.abc import Mapping

from console.installation import environment
from console.installation.environment import BASE_DIR
from console.local import registry

PAGE = "docs/configuration.md"
# Django's, and set by the program itself.
NOT_FOR_OPERATORS = {"DJANGO_SETTINGS_MODULE"}


class Recorder(Mapping):
    """Variables of which none is set. It keeps the names that are asked for."""

    def __init__(self):
        self.asked = set()

    def __getitem__(self, name):
        self.asked.add(name)
        raise KeyError(name)

    def __iter__(self):
        return iter(())

    def __len__(self):
        return 0


def listed():
    """The variables in the first column of the page's tables."""
    rows = re.findall(r"^\| (`[^|]*) \|", (BASE_DIR / PAGE).read_text(), re.MULTILINE)
    return [name for cell in rows for name in re.findall(r"`([A-Z_]+)`", cell)]


def handed_over():
    """What is read of an environment that is given as an argument."""
    recorder = Recorder()
    environment.load(recorder)
    environment.no_colours(recorder)
    return recorder.asked


def _is_environment(node):
    return isinstance(node, ast.Attribute) and node.attr == "environ" and getattr(node.value, "id", "") == "os"


def _name(parent, grandparent):
    """The variable that one use of ``os.environ`` reads or writes; ``None`` when it is another use."""
    asked = None
    if isinstance(parent, ast.Subscript):
        asked = parent.slice
    elif isinstance(parent, ast.Attribute) and parent.attr in {"get", "setdefault", "pop"}:
        asked = grandparent.args[0]
    return asked.value if isinstance(asked, ast.Constant) else None


def used_directly():
    """The names that ``os.environ`` is asked for elsewhere (``tests/local/test_variables.py``)."""
    names = set()
    for path in [*BASE_DIR.glob("console/**/*.py"), *BASE_DIR.glob("registry_client/*.py"), BASE_DIR / "manage.py"]:
        tree = ast.parse(path.read_text())
        parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        for node in ast.walk(tree):
            if _is_environment(node):
                parent = parents[node]
                names |= {_name(parent, parents[parent])} - {None}
    return names


def test_each_variable_that_is_read_is_on_the_page_and_each_on_the_page_is_read():
    names = listed()
    assert len(names) == len(set(names)), "a variable stands there twice"
    read = (handed_over() | used_directly()) - NOT_FOR_OPERATORS
    assert read - set(names) == set(), f"variables that {PAGE} does not list"
    passed_on = registry.clean_environment(dict.fromkeys(names, ""))
    assert set(names) - read - set(passed_on) == set(), f"variables that {PAGE} lists and nothing reads"


def test_readme_leads_to_the_page():
    assert f"]({PAGE})" in (BASE_DIR / "README.md").read_text()
