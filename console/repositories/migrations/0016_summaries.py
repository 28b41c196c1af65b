"""Fill the summaries, a batch in each transaction. When it is interrupted, it can begin again."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations

from console.repositories.summary_field import fill_summaries


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('images', '0015_description'),
    ]

    operations = [
        ValidateConstraint(model_name='image', name='image_description_length'),
        migrations.RunPython(fill_summaries, migrations.RunPython.noop),
    ]
