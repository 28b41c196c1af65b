from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('namespaces', '0003_access_tokens'),
    ]

    operations = [
        migrations.AddField(
            model_name='namespace',
            name='image_count',
            field=models.PositiveIntegerField(db_default=0, default=0, editable=False, verbose_name='images'),
        ),
    ]
