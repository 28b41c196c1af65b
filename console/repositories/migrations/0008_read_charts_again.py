from django.db import migrations

# Until now the configuration of Helm charts was not read. The reconcile at the next start reads these manifests again.
AGAIN = """
UPDATE images_manifest SET kind = '' WHERE artifact_type = 'application/vnd.cncf.helm.config.v1+json'
    AND kind = 'artifact' AND EXISTS (SELECT FROM images_tag WHERE manifest_id = images_manifest.id)
"""
AS_IT_WAS = """
UPDATE images_manifest SET kind = 'artifact' WHERE artifact_type = 'application/vnd.cncf.helm.config.v1+json'
    AND kind = ''
"""


class Migration(migrations.Migration):

    dependencies = [
        ('images', '0007_tag_sort_key_filled'),
    ]

    operations = [
        migrations.RunSQL(AGAIN, AS_IT_WAS),
    ]
