"""Add the time when the deletion of a manifest's tags was requested: later pushes are not deleted."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('images', '0009_odd_manifests_and_failures'),
    ]

    operations = [
        migrations.AddField(
            model_name='manifest',
            name='doomed_at',
            field=models.DateTimeField(editable=False, help_text='What is pushed after that stays', null=True, verbose_name='deletion requested'),
        ),
    ]
