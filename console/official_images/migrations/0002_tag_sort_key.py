from django.db import migrations

import console.repositories.tag_order_field


class Migration(migrations.Migration):

    dependencies = [
        ('dockerhub', '0001_initial'),
    ]

    operations = [
        # NOT NULL from 0003 on, which fills it.
        migrations.AddField(
            model_name='officialtag',
            name='sort_key',
            field=console.repositories.tag_order_field.TagOrderField(null=True, verbose_name='sort key'),
        ),
    ]
