"""Errors that prevent a start, as messages for the operator."""


class Problem(Exception):
    """The start fails. The message is one sentence for the operator: what is wrong and what to do."""
