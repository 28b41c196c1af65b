"""Labels only, no change of a table: index checks and rejected events."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('indexing', '0006_hints_of_pushed_digests'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='reconcile',
            options={'verbose_name': 'index check', 'verbose_name_plural': 'index checks'},
        ),
        migrations.AlterModelOptions(
            name='unusableevents',
            options={'verbose_name': 'rejected events', 'verbose_name_plural': 'rejected events'},
        ),
        migrations.AlterField(
            model_name='reconcile',
            name='counts',
            field=models.JSONField(default=dict, verbose_name='result'),
        ),
        migrations.AlterField(
            model_name='reconcile',
            name='done',
            field=models.PositiveIntegerField(default=0, verbose_name='checked'),
        ),
        migrations.AlterField(
            model_name='reconcile',
            name='state',
            field=models.CharField(choices=[('collecting', 'Listing repositories'), ('running', 'Checking repositories'), ('asking', 'Waiting for a decision'), ('done', 'Done')], default='collecting', max_length=10, verbose_name='state'),
        ),
        migrations.AlterField(
            model_name='reconcile',
            name='whole',
            field=models.BooleanField(default=True, verbose_name='all repositories'),
        ),
        migrations.AlterField(
            model_name='unusableevents',
            name='reason',
            field=models.CharField(choices=[('unreadable', 'not a list of events'), ('malformed', 'event without required fields'), ('unknown', 'unknown action')], max_length=10, verbose_name='reason'),
        ),
    ]
