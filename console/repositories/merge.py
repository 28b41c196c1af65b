"""A page of the images of many owners, in a sort order: merged from the indexes of each owner.

Every index of images begins with the owner. The statement reads the first image of each owner from its index, takes
the owners with the first images of all, which alone can have an image on the page, and merges theirs. It reads a few
index entries for each owner, however many images there are. A page far from the beginning would read as many entries
of every owner as there are before it: then all keys are sorted instead.
"""

from __future__ import annotations

from django.db import connection

from console.repositories.reach import Reach

# The columns of the sort orders (``console.repositories.search.SORTS``), as the indexes have them.
_COLUMNS = {
    "name": "name",
    "type": "visibility",
    "namespace": "split_part(full_name, '/', 1)",
    "tags": "tag_count",
    "size": "size",
    "pushed": "last_push_at",
    "created": "created_at",
}
# Images without a push are the oldest.
_NULLS = {"pushed": ("NULLS FIRST", "NULLS LAST")}
# So many images from the beginning or the end are merged.
MERGED = 200

_MERGE = """
WITH owners AS MATERIALIZED (
    SELECT owner.id FROM unnest(%(owners)s::bigint[]) AS owner (id)
    CROSS JOIN LATERAL (
        SELECT {column} AS value, id FROM images_image AS image
        WHERE image.owner_id = owner.id AND {condition} ORDER BY {order} LIMIT 1
    ) AS first
    ORDER BY {first_order} LIMIT %(end)s
)
SELECT found.id FROM owners CROSS JOIN LATERAL (
    SELECT {column} AS value, id FROM images_image AS image
    WHERE image.owner_id = owners.id AND {condition} ORDER BY {order} LIMIT %(end)s
) AS found
ORDER BY {found_order} LIMIT %(end)s - %(start)s OFFSET %(start)s
"""
_SORT = """
SELECT id FROM images_image AS image WHERE {condition} ORDER BY {order} LIMIT %(end)s - %(start)s OFFSET %(start)s
"""
_CONDITION = """(
    image.namespace_id = ANY(%(namespaces)s) OR image.id = ANY(%(images)s)
) AND (%(type)s::text IS NULL OR image.visibility = %(type)s)"""


def keys_of_page(
    reach: Reach, sort: str, start: int, end: int, backwards: bool = False, *, kind: str = ""
) -> list[int]:
    """The primary keys of a page of the images of a reach.

    :param sort: a name of ``search.SORTS``, with ``-`` before it for descending.
    :param start: the number of the first image, from 0.
    :param end: the number after the last image.
    :param backwards: whether both are counted from the end of the list.
    :param kind: ``public`` or ``private`` for images of that type alone.
    """
    name, down = sort.removeprefix("-"), sort.startswith("-") is not backwards
    template = _MERGE if end <= MERGED else _SORT
    statement = template.format(
        column=_COLUMNS[name],
        condition=_CONDITION,
        order=_order(_COLUMNS[name], "image.id", name, down),
        first_order=_order("first.value", "first.id", name, down),
        found_order=_order("found.value", "found.id", name, down),
    )
    parameters = {
        "owners": reach.owners,
        "namespaces": reach.namespaces,
        "images": reach.single_images,
        "type": kind or None,
        "start": start,
        "end": end,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return [key for (key,) in cursor.fetchall()]


def _order(value: str, key: str, name: str, down: bool) -> str:
    nulls = _NULLS.get(name, ("", ""))[down]
    return f"{value} {'DESC' if down else 'ASC'} {nulls}, {key} {'DESC' if down else 'ASC'}"
