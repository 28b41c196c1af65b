"""Labels only, no change of a table: imports in place of transfers."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('transfers', '0001_initial'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='transfer',
            options={'verbose_name': 'import', 'verbose_name_plural': 'imports'},
        ),
    ]
