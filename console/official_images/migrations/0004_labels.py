"""Labels only, no change of a table: problems of Docker Hub as sentences that say what to do."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('dockerhub', '0003_tag_sort_key_filled'),
    ]

    operations = [
        migrations.AlterField(
            model_name='catalogue',
            name='asked_at',
            field=models.DateTimeField(null=True, verbose_name='requested'),
        ),
        migrations.AlterField(
            model_name='catalogue',
            name='problem',
            field=models.CharField(blank=True, choices=[('unreachable', 'Can’t reach Docker Hub. Retrying automatically.'), ('busy', 'Docker Hub’s rate limit is reached. Retrying automatically.'), ('broken', 'Docker Hub returned an error. Retrying automatically.'), ('refused', 'Docker Hub refused the request. Ask an administrator to check the log.'), ('unknown', 'Docker Hub no longer has this image.'), ('unexpected', 'Docker Hub sent an unexpected response. Ask an administrator to check the log.')], default='', max_length=11, verbose_name='problem'),
        ),
        migrations.AlterField(
            model_name='catalogue',
            name='retry_at',
            field=models.DateTimeField(null=True, verbose_name='next try'),
        ),
        migrations.AlterField(
            model_name='catalogue',
            name='tried_at',
            field=models.DateTimeField(null=True, verbose_name='last try'),
        ),
        migrations.AlterField(
            model_name='officialimage',
            name='star_count',
            field=models.PositiveIntegerField(default=0, editable=False, verbose_name='local stars'),
        ),
        migrations.AlterField(
            model_name='officialimage',
            name='tags_known_at',
            field=models.DateTimeField(null=True, verbose_name='tags loaded'),
        ),
        migrations.AlterField(
            model_name='officialimage',
            name='tags_problem',
            field=models.CharField(blank=True, choices=[('unreachable', 'Can’t reach Docker Hub. Retrying automatically.'), ('busy', 'Docker Hub’s rate limit is reached. Retrying automatically.'), ('broken', 'Docker Hub returned an error. Retrying automatically.'), ('refused', 'Docker Hub refused the request. Ask an administrator to check the log.'), ('unknown', 'Docker Hub no longer has this image.'), ('unexpected', 'Docker Hub sent an unexpected response. Ask an administrator to check the log.')], default='', max_length=11, verbose_name='problem with the tags'),
        ),
        migrations.AlterField(
            model_name='officialimage',
            name='tags_tried_at',
            field=models.DateTimeField(null=True, verbose_name='tags last try'),
        ),
    ]
