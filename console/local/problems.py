"""What can stand in the way of a start."""


class Problem(Exception):
    """The start cannot go on. The message is one sentence for the operator: what is wrong and what to do."""
