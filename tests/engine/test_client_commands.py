"""The commands on the pages, run as they stand there by the programs that they name."""

import base64
import json
import os
import re
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import expect

from tests.support.docker_engine import layer
from tests.support.registry import CACHE
from tests.support.stack import wait_until

pytestmark = pytest.mark.engine
# Several programs run at the same time here.
expect.set_options(timeout=20_000)

PASSWORD = "p%ss: wörd with spaces"
CHART = """
apiVersion: v2
name: {name}
version: 1.10.0+build.5
appVersion: "2.1"
description: What it is for.
"""
STORAGE = '[storage]\ndriver = "vfs"\ngraphroot = "{0}/graph"\nrunroot = "{0}/run"\n'


# With the clients that .ci/clients unpacks.
PATH = f"{os.environ['PATH']}{os.pathsep}{CACHE / 'clients' / 'usr' / 'bin'}"


def needs(program):
    return pytest.mark.skipif(shutil.which(program, path=PATH) is None, reason=f"{program} is not there (.ci/clients)")


@pytest.fixture
def ann(person):
    """Somebody activated, with a namespace."""
    walker = person("Ann")
    walker.team = f"team-{uuid.uuid4().hex[:8]}"
    walker.activate(PASSWORD, walker.team)
    return walker


@pytest.fixture
def run(tmp_path, docker, docker_daemon):
    """Runs a line in a shell, with a home and a folder of its own; what it prints."""
    (tmp_path / "storage.conf").write_text(STORAGE.format(tmp_path))
    (tmp_path / "work").mkdir()
    environment = {
        **docker.environment,
        "PATH": PATH,
        "HOME": str(tmp_path / "home"),
        "XDG_RUNTIME_DIR": str(tmp_path / "home"),
        "REGISTRY_AUTH_FILE": str(tmp_path / "auth.json"),
        "CONTAINERS_STORAGE_CONF": str(tmp_path / "storage.conf"),
        "CONTAINERS_REGISTRIES_CONF": os.devnull,
    }
    (tmp_path / "home").mkdir()

    def run(line, input="", **words):
        """:param words: what takes the place of ``[word]`` in the line."""
        for word, value in words.items():
            line = line.replace(f"[{word}]", value)
        assert "[" not in line.partition("'")[0], f"a word to replace is left in: {line}"
        result = subprocess.run(
            ["bash", "-c", line], cwd=tmp_path / "work", env=environment, input=input.encode(), check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=180,
        )  # fmt: skip
        out = result.stdout.decode(errors="replace")
        assert result.returncode == 0, f"{line}\n{out}"
        return out

    run.folder = tmp_path / "work"
    return run


def shown(walker, repository, client):
    """The commands of a client on the image's page, by their titles."""
    walker.go(f"/images/{repository}/-/commands/?client={client}")
    steps = walker.page.locator("#commands .commands > li")
    return {
        step.locator(".step").inner_text(): (step.locator("code").text_content(), step.locator("[data-copy]"))
        for step in steps.all()
    }


def commands(walker, repository, client):
    """The commands as the copy buttons give them, which is what the page shows."""
    found = {}
    for title, (text, button) in shown(walker, repository, client).items():
        assert button.get_attribute("data-copy") == text
        found[title] = text
    return found


def copied(walker, repository, tag):
    """The pull command that the menu of a tag's row copies, once the row is there."""
    walker.go(f"/images/{repository}/-/tags/")
    row = walker.page.get_by_role("row").filter(has=walker.page.get_by_label(f"Select {tag}"))
    wait_until(lambda: walker.page.reload() and row.count(), f"{repository}:{tag} shows", 60)
    return row.get_by_role("button", name="Copy pull command", include_hidden=True).get_attribute("data-copy")


def logged_in(run, line):
    run(f"{line} --password-stdin", input=PASSWORD)


def test_docker(run, docker, ann):
    repository = f"{ann.team}/app"
    ann.create_image("app", ann.team)
    steps = commands(ann, repository, "docker")
    logged_in(run, steps["Log in"])
    local = docker("import", "-", input=layer({"a": os.urandom(9)})).strip()
    run(steps["Tag"], ImageId=local, tag="v1.10.0")
    run(steps["Push"], tag="v1.10.0")
    assert copied(ann, repository, "v1.10.0") == steps["Pull"].replace("[tag]", "v1.10.0")
    docker("rmi", "-f", local)
    pull = commands(ann, repository, "docker")["Pull"]
    assert pull.endswith("app:v1.10.0")
    assert "Downloaded newer image" in run(pull)
    ann.go(f"/images/{repository}/-/tags/v1.10.0/")
    assert ann.page.locator(".command code").first.text_content() == pull


@needs("podman")
def test_podman(run, ann):
    repository = f"{ann.team}/app"
    ann.create_image("app", ann.team)
    steps = commands(ann, repository, "podman")
    logged_in(run, steps["Log in"])
    (run.folder / "image.tar").write_bytes(layer({"a": os.urandom(9)}))
    local = run("podman import image.tar 2>/dev/null").strip()
    run(steps["Tag"], ImageId=local, tag="v1")
    run(steps["Push"], tag="v1")
    copied(ann, repository, "v1")
    run(f"podman rmi -f {local}")
    run(commands(ann, repository, "podman")["Pull"])


def test_skopeo(run, docker, ann):
    repository = f"{ann.team}/app"
    ann.create_image("app", ann.team)
    steps = commands(ann, repository, "skopeo")
    logged_in(run, steps["Log in"])
    local = docker("import", "-", "local:v1", input=layer({"a": os.urandom(9)})).strip()
    docker("save", "-o", str(run.folder / "image.tar"), local)
    run(steps["Copy from another registry"].replace("docker://[Image]", "docker-archive:image.tar"), tag="v1")
    copied(ann, repository, "v1")
    steps = commands(ann, repository, "skopeo")
    assert json.loads(run(steps["Inspect"]))["RepoTags"] == ["v1"]
    run(steps["Download"])
    assert json.loads((run.folder / "app" / "index.json").read_text())["manifests"]


@needs("helm")
def test_helm(run, ann):
    repository = f"{ann.team}/charts/ledger"
    ann.create_image("charts/ledger", ann.team)
    steps = commands(ann, repository, "helm")
    logged_in(run, steps["Log in"])
    folder = run.folder / "chart"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(CHART.format(name="ledger"))
    run(steps["Package"], ChartFolder="chart")
    run(steps["Push"], version="1.10.0+build.5")
    (run.folder / "ledger-1.10.0+build.5.tgz").unlink()

    pull = copied(ann, repository, "1.10.0_build.5")
    assert pull.startswith(f"helm pull oci://127.0.0.1:{pull.split(':')[2].partition('/')[0]}/{repository} --version ")
    run(pull)
    assert (run.folder / "ledger-1.10.0+build.5.tgz").exists()
    # The image holds charts alone: they come first, and are what is shown unless asked otherwise.
    ann.go(f"/images/{repository}/-/commands/")
    links = ann.page.get_by_role("navigation", name="Client").get_by_role("link")
    assert links.first.inner_text() == "Helm"
    assert links.first.get_attribute("aria-current") == "true"
    steps = commands(ann, repository, "helm")
    assert steps["Pull"] == pull
    assert steps["Install"] == pull.replace("helm pull", "helm install ledger")
    run(f"{steps['Install']} --dry-run=client")

    ann.go(f"/images/{repository}/-/tags/1.10.0_build.5/")
    facts = ann.page.locator("section[aria-labelledby=chart]")
    assert re.findall(r"\S[^\n]*", facts.inner_text()) == [
        "Helm chart", "Name", "ledger", "Version", "1.10.0+build.5", "App version", "2.1",
        "Description", "What it is for.",
    ]  # fmt: skip
    for command in ann.page.locator(".command code").all_text_contents()[:2]:
        run(f"{command} --dry-run=client" if "install" in command else command)


@needs("helm")
@needs("oras")
def test_a_chart_under_a_tag_that_is_no_version(run, ann):
    repository = f"{ann.team}/ledger"
    ann.create_image("ledger", ann.team)
    steps = commands(ann, repository, "helm")
    logged_in(run, steps["Log in"])
    (run.folder / "chart" / "templates").mkdir(parents=True)
    (run.folder / "chart" / "Chart.yaml").write_text(CHART.format(name="ledger"))
    run(steps["Package"], ChartFolder="chart")
    run(steps["Push"], version="1.10.0+build.5")
    logged_in(run, commands(ann, repository, "oras")["Log in"])
    address = commands(ann, repository, "docker")["Pull"].split()[-1].replace("[tag]", "1.10.0_build.5")
    run(f"oras tag --plain-http {address} stable v3")
    by_digest = copied(ann, repository, "stable")
    assert re.search(r"/ledger@sha256:[0-9a-f]{64} --plain-http$", by_digest)
    run(by_digest)
    run(copied(ann, repository, "v3"))
    assert len(list(run.folder.glob("ledger*.tgz"))) == 3


@needs("oras")
def test_oras(run, ann):
    repository = f"{ann.team}/policy"
    ann.create_image("policy", ann.team)
    steps = commands(ann, repository, "oras")
    logged_in(run, steps["Log in"])
    (run.folder / "rules.txt").write_text("all that is allowed")
    run(steps["Push"], tag="v1", file="rules.txt")
    (run.folder / "rules.txt").unlink()
    pull = copied(ann, repository, "v1")
    assert re.fullmatch(r"oras pull 127\.0\.0\.1:\d+/\S+/policy:v1 --plain-http", pull)
    run(pull)
    assert (run.folder / "rules.txt").read_text() == "all that is allowed"
    steps = commands(ann, repository, "oras")
    assert steps["Pull"] == pull
    run(steps["Download everything"], folder="layout")
    assert (run.folder / "layout" / "index.json").exists()
    assert ann.page.get_by_role("navigation", name="Client").get_by_role("link").first.inner_text() == "ORAS"


@needs("kubectl")
def test_kubernetes(run, docker, ann, skopeo):
    repository = f"{ann.team}/app"
    ann.create_image("app", ann.team)
    steps = commands(ann, repository, "docker")
    logged_in(run, steps["Log in"])
    local = docker("import", "-", input=layer({"a": os.urandom(9)})).strip()
    run(steps["Tag"], ImageId=local, tag="v1")
    run(steps["Push"], tag="v1")
    copied(ann, repository, "v1")

    steps = commands(ann, repository, "kubernetes")
    create = steps["Create the pull secret"].replace("[AccessToken]", PASSWORD)
    secret = yaml.safe_load(run(f"{create} --dry-run=client -o yaml"))
    assert (secret["type"], secret["metadata"]["name"]) == ("kubernetes.io/dockerconfigjson", "my-images")
    config = base64.b64decode(secret["data"][".dockerconfigjson"])
    pod = yaml.safe_load(steps["Use it in a pod"])
    assert pod["spec"]["imagePullSecrets"] == [{"name": "my-images"}]
    image = pod["spec"]["containers"][0]["image"]
    # What the kubelet does with it: log in as the secret says, and pull what the pod names.
    Path(skopeo.environment["REGISTRY_AUTH_FILE"]).write_bytes(config)
    assert skopeo.inspect(f"docker://{image}")["layers"]
    patch = re.search(r"-p '(.*)'", steps["Or use it in all pods of the namespace"])[1]
    assert json.loads(patch) == {"imagePullSecrets": [{"name": "my-images"}]}


def test_without_script_and_with_a_client_that_nobody_knows(ann):
    repository = f"{ann.team}/app"
    ann.create_image("app", ann.team)
    links = ann.page.get_by_role("navigation", name="Client").get_by_role("link")
    assert links.all_inner_texts() == ["Docker", "Podman", "skopeo", "Kubernetes", "Helm", "ORAS"]
    # In place, and the focus stays on the tab.
    links.nth(1).focus()
    ann.page.keyboard.press("Enter")
    wait_until(lambda: "podman login" in ann.page.locator("#commands").inner_text(), "podman's commands show")
    assert ann.page.evaluate("document.activeElement.id") == "client-podman"
    plain = ann.page.context.browser.new_context(
        java_script_enabled=False, storage_state=ann.page.context.storage_state()
    )
    page = plain.new_page()
    page.goto(f"{ann.base}/images/{repository}/-/commands/?client=nobody")
    assert "docker login" in page.locator("#commands").inner_text()
    page.get_by_role("link", name="Kubernetes").click()
    assert "kubectl create secret docker-registry my-images" in page.locator("#commands").inner_text()
    plain.close()
