"""Labels only, no change of a table: names of columns that the administration shows."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('images', '0012_clearing'),
    ]

    operations = [
        migrations.AlterField(
            model_name='copy',
            name='attached',
            field=models.BooleanField(db_default=False, default=False, help_text='Also untagged manifests that are attached to it'),
        ),
        migrations.AlterField(
            model_name='copy',
            name='source',
            field=models.CharField(help_text='Repository it is copied from', max_length=260, verbose_name='from'),
        ),
        migrations.AlterField(
            model_name='image',
            name='attachment_count',
            field=models.PositiveIntegerField(default=0, editable=False, help_text='Tags shown under the tag they are attached to', verbose_name='attached'),
        ),
        migrations.AlterField(
            model_name='image',
            name='description',
            field=models.TextField(blank=True, default='', validators=[django.core.validators.MaxLengthValidator(1000, 'The description can have up to 1,000 characters.')], verbose_name='description'),
        ),
        migrations.AlterField(
            model_name='manifest',
            name='doomed',
            field=models.BooleanField(default=False, help_text='Being deleted, because its last tag was.'),
        ),
        migrations.AlterField(
            model_name='manifest',
            name='doomed_at',
            field=models.DateTimeField(editable=False, help_text='What is pushed later stays', null=True, verbose_name='deletion requested'),
        ),
        migrations.AlterField(
            model_name='manifest',
            name='kind',
            field=models.CharField(blank=True, choices=[('', 'Not read yet'), ('image', 'Image'), ('index', 'Multi-platform image'), ('artifact', 'Artifact'), ('other', 'Unknown kind')], default='', max_length=8, verbose_name='kind'),
        ),
        migrations.AlterField(
            model_name='manifest',
            name='subject',
            field=models.CharField(blank=True, default='', help_text='Where it is attached', max_length=140, verbose_name='subject'),
        ),
        migrations.AlterField(
            model_name='workfailure',
            name='tries',
            field=models.PositiveIntegerField(default=1, verbose_name='attempts'),
        ),
    ]
