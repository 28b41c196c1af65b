"""Two people with a Docker login each, owner and member: what their clients may do as the member's role changes."""

import json

import pytest

from registry_client import Challenged, RegistryClient
from tests.engine.test_shared_logins import Home, home, seed, user  # noqa: F401
from tests.support.registry_users import make_user

pytestmark = pytest.mark.engine

GIVE = """
from console.access.roles import Role
from console.accounts.models import Account
from console.namespaces.models import Namespace
from console.sharing.services import give_role
owner, member = (Account.objects.get(credential__username=name) for name in ({owner!r}, {member!r}))
give_role(owner, Namespace.objects.get(name={owner!r}), member, Role.{role})
"""
TAKE = """
from console.accounts.models import Account
from console.membership.models import Grant
from console.sharing.services import take_role
owner = Account.objects.get(credential__username={owner!r})
take_role(owner, Grant.objects.get(account__credential__username={member!r}, namespace__name={owner!r}))
"""


@pytest.fixture(scope="module")
def member(stack):
    return make_user(stack)


def test_a_member_pushes_deletes_and_leaves(stack, user, member, seed, home):  # noqa: F811
    """Each step with real clients: docker pushes and pulls, skopeo deletes."""

    def run(code, **words):
        stack.manage("shell", "-v0", "-c", code.format(owner=user.username, member=member.username, **words))

    def tags():
        with RegistryClient(f"http://{stack.registry_address}", Challenged(user.username, user.password)) as registry:
            return registry.tags(f"{user.namespace}/shared")

    source = f"{stack.registry_address}/{user.namespace}/seed:v1"
    target = f"{stack.registry_address}/{user.namespace}/shared:v1"
    delete = ("delete", "--tls-verify=false", f"docker://{target}")
    home.docker_login(member, member.password)
    assert "auths" in json.loads(home.config.read_text())
    home.docker(source, target, fails=True)

    run(GIVE, role="READER")
    home.command("docker")("pull", source)
    home.command("docker")("tag", source, target)
    home.command("docker")("push", target, fails=True)

    run(GIVE, role="WRITER")
    home.docker(source, target)
    assert tags() == ["v1"]
    skopeo = home.command("skopeo", "--insecure-policy")
    skopeo(*delete, fails=True)
    assert tags() == ["v1"]

    run(GIVE, role="MAINTAINER")
    skopeo(*delete)
    assert tags() == []

    run(TAKE)
    home.docker(source, target, fails=True)
    # The owner's own login is as it was.
    home.docker_login(user, user.password)
    home.docker(source, target)
    assert tags() == ["v1"]
