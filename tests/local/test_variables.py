"""Environment variables: read in one place, every problem named at once, no secret shown."""

import ast

import pytest

from console.installation import environment
from console.installation.environment import BASE_DIR

LOADER = {
    "console/installation/environment.py:load",
    "console/installation/environment.py:no_colours",
}
# Where else the product uses its environment, and why.
ELSEWHERE = {
    "manage.py:main": "Django's own DJANGO_SETTINGS_MODULE, before there are settings",
    "manage.py:_load_settings": "the same",
    "console/wsgi.py:": "the same",
    "console/local/__main__.py:_run": "the mark of the data folder is left to all child processes",
    "console/local/__main__.py:_start": "given to PostgreSQL, the console and the worker, which are child processes",
    "console/local/__main__.py:_hub": "given to the cache, a child process",
    "console/local/__main__.py:_registry_child": "given to registries, which are child processes",
    "console/local/edge.py:variables": "given to the edge, a child process, without the console's secrets",
    "console/local/hub.py:_start": "given to the cache's registry, a child process",
    "console/backup/database.py:run": "given to PostgreSQL's programs",
    "console/backup/services.py:_migrate": "given to the command that migrates",
    "registry_client/connections.py:_surroundings": "certificate authorities as requests reads them; knows no console",
}
NAMES = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}


def uses(node, function=""):
    """The functions, outermost first, in which a syntax tree uses the process's environment."""
    for child in ast.iter_child_nodes(node):
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        inside = function or (child.name if is_function else "")
        if isinstance(child, ast.Attribute) and child.attr in NAMES and ast.unparse(child.value) == "os":
            yield inside
        if isinstance(child, ast.ImportFrom) and child.module == "os" and NAMES & {one.name for one in child.names}:
            yield inside
        yield from uses(child, inside)


def test_data_and_keys_are_kept_beside_manage_py_unless_said_otherwise():
    assert (BASE_DIR / "manage.py").is_file()
    assert environment.load({}).data_dir == BASE_DIR / ".data"


def test_the_loader_alone_reads_the_environment():
    files = [BASE_DIR / "manage.py", *BASE_DIR.glob("console/**/*.py"), *BASE_DIR.glob("registry_client/**/*.py")]
    found = {
        f"{file.relative_to(BASE_DIR)}:{function}" for file in files for function in uses(ast.parse(file.read_bytes()))
    }
    assert found == LOADER | ELSEWHERE.keys()


class TestProblems:
    def test_all_are_named_at_once(self):
        with pytest.raises(environment.EnvironmentProblem) as problem:
            environment.load({"CONSOLE_PORT": "x", "DOCKERHUB": "perhaps", "IMPORT_TOKEN_SERVERS": "a, b=c, d"})
        assert str(problem.value).splitlines() == [
            "CONSOLE_PORT is 'x'; it must be a port number from 1 to 65535.",
            "DOCKERHUB is 'perhaps'; it must be on or off.",
            "IMPORT_TOKEN_SERVERS has 'a'; it must be host names like registry.example.com=login.example.com.",
            "IMPORT_TOKEN_SERVERS has 'd'; it must be host names like registry.example.com=login.example.com.",
        ]

    def test_all_that_contradict_each_other_too(self):
        with pytest.raises(environment.EnvironmentProblem) as problem:
            environment.load({"DOCKERHUB_PORT": "8000", "REGISTRY_PORT": "8000", "LOCAL_ACCOUNTS": "off"})
        assert str(problem.value).splitlines() == [
            "CONSOLE_PORT and DOCKERHUB_PORT are both 8000; set DOCKERHUB_PORT to another, or DOCKERHUB=off.",
            "REGISTRY_PORT and DOCKERHUB_PORT are both 8000; set DOCKERHUB_PORT to another, or DOCKERHUB=off.",
            "With LOCAL_ACCOUNTS=off nobody could sign in; set OIDC_ISSUER as well.",
        ]

    @pytest.mark.parametrize("value", ["https://[", "http://ben:hidden@[::1", "registry://ben:hidden@example.com"])
    def test_an_address_is_named_without_its_password(self, value):
        with pytest.raises(environment.EnvironmentProblem, match="^REGISTRY_URL is .*; it must be") as problem:
            environment.load({"REGISTRY_URL": value})
        assert "hidden" not in str(problem.value)

    @pytest.mark.parametrize(
        "value",
        ["ben:hidden@h/d", "mysql://ben:hidden@h/d", "postgresql://ben:hid:den@h:x/d", "postgresql://hidden@[/d"],
    )
    def test_a_database_address_is_not_shown(self, value):
        with pytest.raises(environment.EnvironmentProblem) as problem:
            environment.load({"DATABASE_URL": value})
        sentence = "DATABASE_URL must be an address like postgresql://user:password@127.0.0.1:5432/images."
        assert str(problem.value) == sentence

    @pytest.mark.parametrize(
        "value", ["postgres://h/d", "postgresql://u@/d?host=%2Frun", "pgsql://u:p%20@[::1]:5433/d"]
    )
    def test_database_addresses(self, value):
        assert environment.load({"DATABASE_URL": value}).database_url == value


class TestValues:
    def test_secrets_are_not_shown(self):
        names = ("SECRET_KEY", "ADMIN_PASSWORD", "EMAIL_HOST_PASSWORD", "DOCKERHUB_PASSWORD")
        given = dict.fromkeys(names, "hidden")
        found = environment.load({**given, "DATABASE_URL": "postgresql://ben:hidden@127.0.0.1/images"})
        assert (found.secret_key, found.admin_password, found.email_password) == ("hidden",) * 3
        assert "hidden" not in repr(found)

    def test_passwords_are_taken_to_the_letter(self):
        assert environment.load({"EMAIL_HOST_PASSWORD": " $a\\b "}).email_password == " $a\\b "

    def test_what_settings_need(self):
        given = {"ALLOWED_HOSTS": "a.example, b.example,", "LOG_LEVEL": "debug", "POSTGRES_OPTIONS": "fsync=off x"}
        found = environment.load({**given, "CONSOLE_URL": "https://images.example.com"})
        assert found.allowed_hosts == ("a.example", "b.example")
        assert found.log_level == "DEBUG"
        assert found.postgres_options == ("fsync=off",)
        assert found.email_from == "My Images <noreply@images.example.com>"
        assert (found.email_port, found.token_seconds, found.web_workers, found.web_threads) == (25, 300, 2, 8)
        assert (found.audit_summary_seconds, found.import_allowed_hosts) == (300, ())

    def test_nobody_is_trusted_when_that_is_said(self):
        assert environment.load({"CONSOLE_URL": "https://a.example", "TRUSTED_PROXIES": ","}).trusted_proxies == ()

    @pytest.mark.parametrize("word", ["on", "True", "1", "yes"])
    def test_mail_goes_by_tls_however_that_is_said(self, word):
        assert environment.load({"EMAIL_USE_TLS": word}).email_tls
        assert not environment.load({}).email_tls

    def test_mail_does_not_go_without_tls_by_a_mistake(self):
        with pytest.raises(environment.EnvironmentProblem, match="EMAIL_USE_TLS is 'starttls'; it must be on or off."):
            environment.load({"EMAIL_USE_TLS": "starttls"})
