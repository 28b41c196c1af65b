"""Add fields for indexes of blobs, failures of work, and copies of untagged manifests with a subject."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('images', '0008_read_charts_again'),
    ]

    operations = [
        migrations.AddField(
            model_name='copy',
            name='attached',
            field=models.BooleanField(db_default=False, default=False, help_text='Also what names it as its subject and has no tag'),
        ),
        migrations.AddField(
            model_name='manifest',
            name='own_size',
            field=models.PositiveBigIntegerField(db_default=0, default=0, help_text='Bytes of an index’s own blobs'),
        ),
        migrations.CreateModel(
            name='WorkFailure',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('index', 'Show a tag'), ('delete-image', 'Delete an image'), ('delete-tags', 'Delete tags'), ('copy', 'Copy a tag'), ('import', 'Import an image'), ('release', 'Release a name'), ('transfer', 'Transfer a namespace'), ('left', 'Remove from the storage')], max_length=12, verbose_name='work')),
                ('repository', models.CharField(max_length=255, verbose_name='repository')),
                ('reference', models.CharField(blank=True, default='', max_length=140, verbose_name='tag or digest')),
                ('sentence', models.CharField(max_length=300, verbose_name='problem')),
                ('detail', models.CharField(blank=True, default='', max_length=500, verbose_name='error')),
                ('tries', models.PositiveIntegerField(default=1, verbose_name='tries')),
                ('first_at', models.DateTimeField(verbose_name='first failed')),
                ('last_at', models.DateTimeField(verbose_name='last failed')),
                ('given_up_at', models.DateTimeField(null=True, verbose_name='given up')),
            ],
            options={
                'verbose_name': 'problem',
                'verbose_name_plural': 'problems',
                'ordering': ['-last_at'],
                'indexes': [models.Index(fields=['repository'], name='work_failure_repository')],
                'constraints': [models.UniqueConstraint(fields=('kind', 'repository', 'reference'), name='work_failure_once'), models.CheckConstraint(condition=models.Q(('kind__in', ['index', 'delete-image', 'delete-tags', 'copy', 'import', 'release', 'transfer', 'left'])), name='work_failure_kind')],
            },
        ),
    ]
