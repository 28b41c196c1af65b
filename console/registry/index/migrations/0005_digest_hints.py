"""Lengthen a hint's tag: it may be a digest, which is longer than a tag."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('indexing', '0004_what_was_pushed'),
    ]

    operations = [
        migrations.AlterField(
            model_name='hint',
            name='tag',
            field=models.CharField(max_length=140, verbose_name='tag or digest'),
        ),
    ]
