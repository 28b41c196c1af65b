"""What newcomers read and use: links lead somewhere, named files exist, hooks and workflow run our own tools."""

import re
import tomllib

import pytest
import yaml

from console.installation.environment import BASE_DIR
from console.installation.version import VERSION
from tests.security.count import count

DOCUMENTS = sorted([*BASE_DIR.glob("*.md"), *BASE_DIR.glob("docs/**/*.md")])
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)
# A file or folder of the checkout, in backticks, without a placeholder in it.
_NAMED = re.compile(r"`((?:console|docs|registry_client|static|templates|tests|\.ci)/[\w./-]+)`")


def anchors(path):
    """The anchors of a document's headings, as GitHub and GitLab make them."""
    headings = re.findall(r"^#+ (.*)$", _without_blocks(path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _without_blocks(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(BASE_DIR)))
def test_links_lead_somewhere(path):
    for link in _LINK.findall(_CODE.sub("", path.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        file, _hash, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert target.is_relative_to(BASE_DIR), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(BASE_DIR)))
def test_files_that_are_named_exist(path):
    named = _NAMED.findall(path.read_text())
    assert len(named) > 20 or path.name != "CONTRIBUTING.md"
    assert [name for name in named if not (BASE_DIR / name).exists()] == []


def test_security_says_how_many_addresses_and_scopes_are_asked():
    text = " ".join((BASE_DIR / "docs/security.md").read_text().split())
    said = re.search(
        r"(\d+) addresses for (\d+) roles with (\d+) methods, "
        r"and (\d+) scopes with (\d+) kinds of credentials and (\d+) choices of actions",
        text,
    )
    together, tokens = count()[-2:]
    there = [*re.findall(r"\d+", together)[:3], *re.findall(r"\d+", tokens)[:3]]
    assert list(said.groups()) == there, "docs/security.md: what python -m tests.security.count prints"


def test_the_newest_version_of_the_changelog_is_this_one():
    found = re.findall(r"^## \[(.*?)\]", (BASE_DIR / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert found[:2] == ["Unreleased", VERSION]


def test_the_license():
    assert tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"]["license"] == "Apache-2.0"
    assert "Apache License\n                           Version 2.0" in (BASE_DIR / "LICENSE").read_text()


def test_the_hooks_are_the_linters_of_make_lint():
    """Of the virtual environment, so that nothing is downloaded and everybody has the same version."""
    configuration = yaml.safe_load((BASE_DIR / ".pre-commit-config.yaml").read_text())
    assert [one["repo"] for one in configuration["repos"]] == ["local"]
    makefile = (BASE_DIR / "Makefile").read_text().replace("$(BIN)", ".venv/bin")
    for hook in configuration["repos"][0]["hooks"]:
        assert hook["language"] == "system"
        program = " ".join(part for part in hook["entry"].split() if not part.startswith("--"))
        assert program in makefile, f"make lint does not run {program}"


def test_the_workflow_runs_what_everybody_runs():
    workflow = yaml.safe_load((BASE_DIR / ".github/workflows/ci.yml").read_text())
    (job,) = workflow["jobs"].values()
    uses = [step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step]
    assert uses == ["actions/checkout"]
    assert job["steps"][-1]["run"] == ".ci/run"
    assert job["strategy"]["matrix"] == {"debian": ["12", "13"]}
    assert workflow["permissions"] == {"contents": "read"}
