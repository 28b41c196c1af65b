"""Conformance checks of the OCI distribution specification 1.1, for any registry's address.

``cases`` has the checks of the four workflows (pull, push, content discovery, content management), each with its
section of the specification. ``known`` lists the checks that a registry is known not to pass, with the reason.
``python -m tests.conformance --help`` runs them against an address and prints the table.
"""
