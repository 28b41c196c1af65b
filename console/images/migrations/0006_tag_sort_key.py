from django.db import migrations

import console.database.tag_order


class Migration(migrations.Migration):

    dependencies = [
        ('images', '0005_public_images'),
    ]

    operations = [
        # Not null from 0007 on, which fills it.
        migrations.AddField(
            model_name='tag',
            name='sort_key',
            field=console.database.tag_order.TagOrderField(null=True, verbose_name='sort key'),
        ),
    ]
