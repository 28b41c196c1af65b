"""Run the conformance checks against a registry's address, and print the table."""

from __future__ import annotations

import argparse
import getpass

from tests.conformance.cases import CASES
from tests.conformance.report import column, table
from tests.conformance.run import Result
from tests.conformance.target import BasicTokens, Target


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("address", help="the registry's URL, such as http://127.0.0.1:5000")
    parser.add_argument("--username", help="for a registry with tokens; the password is asked for")
    parser.add_argument("--namespace", default="conformance", help="the beginning of the repositories' names")
    parser.add_argument("--case", action="append", help="run this case only; may be given several times")
    parser.add_argument("--all", action="store_true", help="also print the checks that pass")
    arguments = parser.parse_args()
    tokens = BasicTokens(arguments.username, getpass.getpass()) if arguments.username else None
    target = Target(arguments.address, tokens, arguments.namespace)
    results: list[Result] = []
    for case in CASES:
        if not arguments.case or case.name in arguments.case:
            results += case.run(target)
    print("\n".join(table({arguments.address: column(results)}, everything=arguments.all)))


if __name__ == "__main__":
    main()
