"""Labels only, no change of a table: audit events in place of audit trail."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0003_find'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='auditevent',
            options={'ordering': ['-at', '-id'], 'verbose_name': 'audit event', 'verbose_name_plural': 'audit events'},
        ),
    ]
