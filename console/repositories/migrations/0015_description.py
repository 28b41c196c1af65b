"""Descriptions of up to 25,000 characters, and the summary that lists show of them."""

import django.core.validators
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

import console.repositories.summary_field


class Migration(migrations.Migration):

    dependencies = [
        ('images', '0014_plain_names'),
    ]

    operations = [
        migrations.RemoveConstraint(model_name='image', name='image_description_length'),
        migrations.AlterField(
            model_name='image',
            name='description',
            field=models.TextField(blank=True, default='', validators=[django.core.validators.MaxLengthValidator(25000, 'The description can have up to 25,000 characters.')], verbose_name='description'),
        ),
        # What was at most 1,000 characters long needs no check; the next migration says so to the database.
        AddConstraintNotValid(
            model_name='image',
            constraint=models.CheckConstraint(condition=models.Q(('description__length__lte', 25000)), name='image_description_length'),
        ),
        migrations.AddField(
            model_name='image',
            name='summary',
            field=console.repositories.summary_field.SummaryField(verbose_name='summary'),
        ),
    ]
