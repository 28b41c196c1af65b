"""docs/configuration.md lists each environment variable that the program reads, and no other."""

import ast
import re
from collections.abc import Mapping

from console.installation import environment
from console.installation.environment import BASE_DIR
from console.local import gunicorn

PAGE = "docs/configuration.md"
# Where the whole environment is handed on: to a function that is asked for its variables below, or to other processes.
PASSED_ON = {
    "console/installation/environment.py",
    "console/local/gunicorn.py",
    "console/local/hub.py",
    "console/local/__main__.py",
    "console/backup/database.py",
    "console/backup/services.py",
}
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
    gunicorn.command(environment.load(recorder), variables=recorder)
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
    """The names that ``os.environ`` is asked for, and the files that use it in any other way."""
    names, others = set(), set()
    for path in [*BASE_DIR.glob("console/**/*.py"), *BASE_DIR.glob("registry_client/*.py"), BASE_DIR / "manage.py"]:
        tree = ast.parse(path.read_text())
        parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        file = str(path.relative_to(BASE_DIR))
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in {"getenv", "environb", "getenvb"}:
                others.add(file)
            if _is_environment(node):
                parent = parents[node]
                name = _name(parent, parents[parent])
                names |= {name} if name else set()
                others |= set() if name else {file}
    return names, others


def test_each_variable_that_is_read_is_on_the_page_and_each_on_the_page_is_read():
    names = listed()
    assert len(names) == len(set(names)), "a variable stands there twice"
    read = (handed_over() | used_directly()[0]) - NOT_FOR_OPERATORS
    assert read - set(names) == set(), f"variables that {PAGE} does not list"
    assert set(names) - read == set(), f"variables that {PAGE} lists and nothing reads"


def test_nothing_else_reads_the_environment_in_a_way_that_is_not_seen_here():
    assert used_directly()[1] == PASSED_ON


def test_readme_leads_to_the_page():
    assert f"]({PAGE})" in (BASE_DIR / "README.md").read_text()
