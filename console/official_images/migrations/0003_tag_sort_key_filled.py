from django.db import migrations, models

from console.repositories.tag_order_field import TagOrderField, fill_sort_keys

# Each statement is a separate transaction, and none blocks writers for longer than a moment. Idempotent: it can be
# repeated after an interruption.
INDEX = [
    'DROP INDEX CONCURRENTLY IF EXISTS "official_tag_by_version"',
    'CREATE INDEX CONCURRENTLY "official_tag_by_version" ON "dockerhub_officialtag" ("image_id", "sort_key", "id")',
]
NO_INDEX = ['DROP INDEX IF EXISTS "official_tag_by_version"']
NEVER_EMPTY = [
    'ALTER TABLE "dockerhub_officialtag" DROP CONSTRAINT IF EXISTS "official_tag_sort_key"',
    'ALTER TABLE "dockerhub_officialtag" ADD CONSTRAINT "official_tag_sort_key" CHECK (NOT ("sort_key" = \'\')) NOT VALID',
    'ALTER TABLE "dockerhub_officialtag" VALIDATE CONSTRAINT "official_tag_sort_key"',
    # With this constraint PostgreSQL does not have to scan the table under a lock for SET NOT NULL.
    'ALTER TABLE "dockerhub_officialtag" DROP CONSTRAINT IF EXISTS "official_tag_sort_key_there"',
    'ALTER TABLE "dockerhub_officialtag" ADD CONSTRAINT "official_tag_sort_key_there" CHECK ("sort_key" IS NOT NULL) NOT VALID',
    'ALTER TABLE "dockerhub_officialtag" VALIDATE CONSTRAINT "official_tag_sort_key_there"',
    'ALTER TABLE "dockerhub_officialtag" ALTER COLUMN "sort_key" SET NOT NULL',
    'ALTER TABLE "dockerhub_officialtag" DROP CONSTRAINT "official_tag_sort_key_there"',
]
MAY_BE_EMPTY = [
    'ALTER TABLE "dockerhub_officialtag" ALTER COLUMN "sort_key" DROP NOT NULL',
    'ALTER TABLE "dockerhub_officialtag" DROP CONSTRAINT IF EXISTS "official_tag_sort_key"',
]


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('dockerhub', '0002_tag_sort_key'),
    ]

    operations = [
        migrations.RunPython(fill_sort_keys('dockerhub_officialtag'), migrations.RunPython.noop),
        migrations.RunSQL(
            INDEX,
            NO_INDEX,
            state_operations=[
                migrations.AddIndex(
                    model_name='officialtag',
                    index=models.Index(fields=['image', 'sort_key', 'id'], name='official_tag_by_version'),
                ),
            ],
        ),
        migrations.RunSQL(
            NEVER_EMPTY,
            MAY_BE_EMPTY,
            state_operations=[
                migrations.AlterField(model_name='officialtag', name='sort_key', field=TagOrderField(verbose_name='sort key')),
                migrations.AddConstraint(
                    model_name='officialtag',
                    constraint=models.CheckConstraint(
                        condition=models.Q(('sort_key', ''), _negated=True), name='official_tag_sort_key'
                    ),
                ),
            ],
        ),
    ]
