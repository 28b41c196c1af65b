from django.db import migrations, models

# An address that was set by the link sent to it is confirmed; nobody else changed an account's own address that way.
CONFIRMED = """
UPDATE accounts_account AS account SET confirmed_email = account.email
FROM audit_auditevent AS event
WHERE event.action = 'account.change' AND event.actor = account.account_id AND event.target = account.account_id
  AND event.detail #>> '{changes,email,1}' = account.email AND NOT event.detail ? 'by'
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0005_access_tokens_delete'),
        ('audit', '0004_labels'),
    ]

    operations = [
        migrations.AddField(
            model_name='account',
            name='confirmed_email',
            field=models.EmailField(blank=True, editable=False, max_length=254, null=True, verbose_name='confirmed e-mail'),
        ),
        migrations.RunPython(fill_confirmed, migrations.RunPython.noop),
    ]
