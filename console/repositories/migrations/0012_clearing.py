"""Add the progress of the clearing of a repository, and the manifests that it must not delete."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('images', '0011_manifest_first_children'),
    ]

    operations = [
        migrations.AddField(
            model_name='pusheddigest',
            name='removed',
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
        migrations.CreateModel(
            name='KeptManifest',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('digest', models.CharField(max_length=140, verbose_name='digest')),
                ('blobs', models.JSONField(null=True)),
                ('image', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='images.image')),
            ],
            options={
                'verbose_name': 'kept manifest',
                'verbose_name_plural': 'kept manifests',
                'constraints': [models.UniqueConstraint(fields=('image', 'digest'), name='kept_manifest_once')],
            },
        ),
    ]
