from django.db import migrations, models


class Migration(migrations.Migration):
    """Columns named by the terms that the documents use: a tag is untagged, a push is notified."""

    # That one reads the column by its former name.
    dependencies = [("images", "0013_labels"), ("indexing", "0006_hints_of_pushed_digests")]

    operations = [
        migrations.RenameField("doomedmanifest", "buried", "untagged"),
        migrations.RenameField("pusheddigest", "told_at", "notified_at"),
        migrations.AlterField(
            "doomedmanifest",
            "untagged",
            models.BooleanField(default=False, help_text="The tag points at the tombstone, or is deleted."),
        ),
        migrations.AlterField(
            "pusheddigest",
            "notified_at",
            models.DateTimeField(help_text="When the registry last sent an event of it", verbose_name="notified"),
        ),
    ]
