from django.db import migrations

import console.repositories.tag_order_field


class Migration(migrations.Migration):

    dependencies = [
        ('images', '0005_public_images'),
    ]

    operations = [
        # NOT NULL from 0007 on, which fills it.
        migrations.AddField(
            model_name='tag',
            name='sort_key',
            field=console.repositories.tag_order_field.TagOrderField(null=True, verbose_name='sort key'),
        ),
    ]
