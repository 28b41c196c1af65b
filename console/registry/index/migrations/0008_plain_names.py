from django.db import migrations, models


class Migration(migrations.Migration):
    """A pull is notified, as the documents say."""

    dependencies = [("indexing", "0007_labels")]

    operations = [
        migrations.RenameField("activity", "told_at", "notified_at"),
        migrations.AlterField(
            "activity", "notified_at", models.DateTimeField(auto_now_add=True, verbose_name="notified")
        ),
    ]
