from django.db import migrations

# What the page of an account's activity reads (console/audit/activity.py), in the order in which it shows it.
ACTIVITY = """
CREATE INDEX audit_done ON audit_auditevent (
    actor, (CASE WHEN split_part(action, '.', 1) = 'token' THEN 1 ELSE 0 END), (at AT TIME ZONE 'UTC'), id
);
CREATE INDEX audit_of_account ON audit_auditevent (split_part(target, '/', 1), (at AT TIME ZONE 'UTC'), id)
    WHERE split_part(action, '.', 1) IN
        ('access_token', 'account', 'identity', 'login', 'password', 'second_factor', 'service');
CREATE INDEX audit_of_namespace ON audit_auditevent (split_part(target, '/', 1), (at AT TIME ZONE 'UTC'), id)
    WHERE split_part(action, '.', 1) IN ('failure', 'image', 'index', 'namespace', 'tag');
CREATE INDEX audit_handed_over ON audit_auditevent (
    (COALESCE(detail ->> 'old', detail ->> 'owner')), (at AT TIME ZONE 'UTC'), id
)
    WHERE action IN ('namespace.delete', 'namespace.transfer', 'namespace.transferred');
"""
NO_ACTIVITY = "DROP INDEX audit_done, audit_of_account, audit_of_namespace, audit_handed_over;"


def fill_confirmed(_apps, schema_editor):
    schema_editor.execute(CONFIRMED)


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0004_labels'),
    ]

    operations = [
        migrations.RunSQL(ACTIVITY, NO_ACTIVITY),
    ]
