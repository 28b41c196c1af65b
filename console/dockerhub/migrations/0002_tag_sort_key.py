from django.db import migrations

import console.database.tag_order


class Migration(migrations.Migration):

    dependencies = [
        ('dockerhub', '0001_initial'),
    ]

    operations = [
        # Not null from 0003 on, which fills it.
        migrations.AddField(
            model_name='officialtag',
            name='sort_key',
            field=console.database.tag_order.TagOrderField(null=True, verbose_name='sort key'),
        ),
    ]
