"""Errors that prevent a start, as sentences."""


class Problem(Exception):
    """The start cannot go on. The message is one sentence for the operator: what is wrong and what to do."""
