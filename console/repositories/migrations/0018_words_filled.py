"""Fill the words of descriptions, a batch in each transaction, and index those of tags without blocking pushes.

When it is interrupted, it can begin again.
"""

import django.contrib.postgres.indexes
import django.contrib.postgres.search
from django.db import migrations
from django.db.models import F, Func

BATCH = 500
TAG_WORDS = (
    "array_to_tsvector(array_remove(string_to_array("
    "regexp_replace(translate(lower(%(expressions)s), '._-', '   '), '([a-z])([0-9])', '\\1 \\2', 'g'), ' '), '') "
    "|| lower(%(expressions)s))"
)
INDEX = [
    'DROP INDEX CONCURRENTLY IF EXISTS "tag_words"',
    'CREATE INDEX CONCURRENTLY "tag_words" ON "images_tag" USING gin (('
    + TAG_WORDS.replace("%(expressions)s", '"name"')
    + ')) WITH (fastupdate = on, gin_pending_list_limit = 256)',
]
NO_INDEX = ['DROP INDEX IF EXISTS "tag_words"']


def fill(_apps, schema_editor):
    last = -(1 << 63)
    with schema_editor.connection.cursor() as cursor:
        while True:
            cursor.execute(
                "SELECT id FROM images_image WHERE id > %s AND description <> '' ORDER BY id LIMIT %s", [last, BATCH]
            )
            keys = [key for key, in cursor.fetchall()]
            if not keys:
                return
            # A row that is there was written by the trigger since, or by an earlier run.
            cursor.execute(
                "INSERT INTO images_imagewords (image_id, words) SELECT image.id, images_words_of(image) "
                "FROM images_image AS image WHERE id = ANY(%s) AND description <> '' ON CONFLICT (image_id) DO NOTHING",
                [keys],
            )
            last = keys[-1]


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('images', '0017_words'),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.RunSQL(
            INDEX,
            NO_INDEX,
            state_operations=[
                migrations.AddIndex(
                    model_name='tag',
                    index=django.contrib.postgres.indexes.GinIndex(
                        Func(
                            F('name'),
                            output_field=django.contrib.postgres.search.SearchVectorField(),
                            template=TAG_WORDS,
                        ),
                        fastupdate=True,
                        gin_pending_list_limit=256,
                        name='tag_words',
                    ),
                ),
            ],
        ),
    ]
