"""All cases of the conformance checks."""

from __future__ import annotations

from functools import partial

from tests.conformance.cases import blobs, chunk_order, contents, deletions, manifest_errors, pulls, referrers, tags
from tests.conformance.run import Case

CASES: tuple[Case, ...] = (
    Case("support", pulls.support),
    Case("missing", pulls.missing),
    Case("missing-repository", pulls.missing_repository),
    Case("isolation", pulls.isolation),
    Case("accept", pulls.accept),
    Case("invalid-names", pulls.invalid_names),
    *(
        Case(f"{algorithm}-{name}", partial(function, algorithm=algorithm))
        for algorithm in blobs.ALGORITHMS
        for name, function in (
            *blobs.CASES.items(),
            ("ranges", pulls.ranges),
            ("out-of-order", chunk_order.out_of_order),
        )
    ),
    Case("upload-status", chunk_order.status),
    Case("upload-ranges", chunk_order.malformed_ranges),
    Case("upload-errors", chunk_order.errors),
    *(Case(name, partial(contents.whole_life, make=make)) for name, make in contents.KINDS.items()),
    *(Case(f"manifest-{name}", function) for name, function in manifest_errors.CASES.items()),
    *(Case(f"tags-{name}", function) for name, function in tags.CASES.items()),
    *(Case(f"referrers-{name}", function) for name, function in referrers.CASES.items()),
    *(Case(f"delete-{name}", function) for name, function in deletions.CASES.items()),
)
