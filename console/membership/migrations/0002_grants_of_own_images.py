"""A grant or invitation for one image names an image of its own namespace: a composite foreign key holds it.

Django's models have no composite foreign keys. The unique constraint is what the keys refer to.
"""

from django.db import migrations

_FOR = """
ALTER TABLE membership_{table} ADD CONSTRAINT {table}_image_of_namespace
    FOREIGN KEY (image_id, namespace_id) REFERENCES images_image (id, namespace_id) DEFERRABLE INITIALLY DEFERRED;
"""


class Migration(migrations.Migration):
    dependencies = [("membership", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE images_image ADD CONSTRAINT image_of_namespace UNIQUE (id, namespace_id);",
            "ALTER TABLE images_image DROP CONSTRAINT image_of_namespace;",
        ),
        *(
            migrations.RunSQL(
                _FOR.format(table=table),
                f"ALTER TABLE membership_{table} DROP CONSTRAINT {table}_image_of_namespace;",
            )
            for table in ("grant", "invitation")
        ),
    ]
