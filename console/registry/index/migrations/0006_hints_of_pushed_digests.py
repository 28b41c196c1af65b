"""Sync manifests that were pushed without a tag again: earlier versions did not index those with a subject."""

from django.db import migrations

# Existing hints are not changed.
_INSERT_HINTS = """
INSERT INTO indexing_hint (repository, tag, pushed_at, pushed_by, digest, version, alone)
SELECT pushed.repository, pushed.digest, pushed.told_at, '', pushed.digest, 1, false
FROM images_pusheddigest AS pushed
JOIN images_image AS image ON image.full_name = pushed.repository
WHERE NOT EXISTS (
    SELECT FROM images_manifest AS manifest WHERE manifest.image_id = image.id AND manifest.digest = pushed.digest
)
ORDER BY pushed.repository, pushed.digest
ON CONFLICT (repository, tag) DO NOTHING
"""
_DELETE_HINTS = """
DELETE FROM indexing_hint AS hint USING images_pusheddigest AS pushed
WHERE hint.repository = pushed.repository AND hint.tag = pushed.digest AND hint.pushed_at = pushed.told_at
    AND hint.pushed_by = '' AND hint.version = 1
"""


class Migration(migrations.Migration):

    dependencies = [
        ('images', '0009_odd_manifests_and_failures'),
        ('indexing', '0005_digest_hints'),
    ]

    operations = [migrations.RunSQL(_INSERT_HINTS, _DELETE_HINTS)]
