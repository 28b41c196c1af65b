"""How much is asked: ``python -m tests.security.count``."""

from tests.security.admin_rows import ADMIN
from tests.security.answers import METHODS, ROLES
from tests.security.console_rows import CONSOLE
from tests.security.token_rows import GRANTED, GRANTED_AT_THE_HUB, REFUSED, REFUSED_REFRESH_TOKENS, lines, table

# Each action alone, and all of them.
QUESTIONS = 5


def count() -> list[str]:
    """A line for each part."""
    said = []
    for name, rows in (("pages", CONSOLE), ("administration", ADMIN), ("together", [*CONSOLE, *ADMIN])):
        asked = [row.expected(role, method) for row in rows for role in ROLES for method in METHODS]
        changing = sum(answer.endswith("+") for answer in asked)
        said.append(
            f"{name}: {len(rows)} addresses × {len(ROLES)} roles × {len(METHODS)} methods = {len(asked)} answers, "
            f"{changing} of them change something"
        )
    granted = [table(GRANTED), table(GRANTED_AT_THE_HUB)]
    scopes, columns = sum(map(len, granted)), len(next(iter(granted[0].values())))
    said.append(
        f"tokens: {scopes} scopes × {columns} credentials × {QUESTIONS} choices of actions = "
        f"{scopes * columns * QUESTIONS} answers, and {len(lines(REFUSED)) + len(lines(REFUSED_REFRESH_TOKENS))} "
        "credentials that are refused"
    )
    return said


if __name__ == "__main__":
    print("\n".join(count()))
