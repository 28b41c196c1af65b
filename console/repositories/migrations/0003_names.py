import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# Triggers for the denormalised columns of an image's namespace, and the n-grams of its name for console.repositories.search,
# so that they are written however an image is created or moved.
NAMES = """
CREATE FUNCTION images_pieces(whole text) RETURNS varchar(3)[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT array_agg(DISTINCT substr(whole, start, width)::varchar(3))
    FROM generate_series(1, 3) AS width, generate_series(1, length(whole) - width + 1) AS start
$$;
CREATE FUNCTION images_write_name() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Locked, so that a namespace that changes hands just now takes this image along.
    SELECT namespace.owner_id, namespace.name || '/' || NEW.name INTO NEW.owner_id, NEW.full_name
    FROM namespaces_namespace AS namespace WHERE namespace.id = NEW.namespace_id FOR SHARE;
    IF NOT FOUND THEN
        RAISE foreign_key_violation USING MESSAGE = format('namespace %s is not there', NEW.namespace_id);
    END IF;
    RETURN NEW;
END
$$;
CREATE FUNCTION images_write_pieces() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO images_imagepieces (image_id, owner_id, full_name, pieces)
    VALUES (NEW.id, NEW.owner_id, NEW.full_name, images_pieces(NEW.full_name))
    ON CONFLICT (image_id) DO UPDATE
    SET owner_id = excluded.owner_id, full_name = excluded.full_name, pieces = excluded.pieces
    WHERE (images_imagepieces.owner_id, images_imagepieces.full_name) <> (excluded.owner_id, excluded.full_name);
    RETURN NULL;
END
$$;
CREATE FUNCTION images_follow_namespace() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE images_image SET namespace_id = namespace_id WHERE namespace_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER images_write_name BEFORE INSERT OR UPDATE OF namespace_id, name, owner_id, full_name ON images_image
    FOR EACH ROW EXECUTE FUNCTION images_write_name();
CREATE TRIGGER images_write_pieces AFTER INSERT OR UPDATE OF namespace_id, name ON images_image
    FOR EACH ROW EXECUTE FUNCTION images_write_pieces();
CREATE TRIGGER images_follow_namespace AFTER UPDATE OF owner_id, name ON namespaces_namespace
    FOR EACH ROW WHEN (OLD.owner_id <> NEW.owner_id OR OLD.name <> NEW.name)
    EXECUTE FUNCTION images_follow_namespace();
UPDATE images_image SET namespace_id = namespace_id;
-- What this has put off until the end of the transaction would stand in the way of the changes to the table below.
SET CONSTRAINTS ALL IMMEDIATE;
"""
NO_NAMES = """
DROP TRIGGER images_follow_namespace ON namespaces_namespace;
DROP TRIGGER images_write_pieces ON images_image;
DROP TRIGGER images_write_name ON images_image;
DROP FUNCTION images_follow_namespace();
DROP FUNCTION images_write_pieces();
DROP FUNCTION images_write_name();
DROP FUNCTION images_pieces(text);
"""
# Until now only the digests of an index's children were stored. The next reconcile reads the rest.
CHILDREN = """
UPDATE images_manifest SET children = (
    SELECT jsonb_agg(jsonb_build_object('digest', entry.value, 'platform', ''))
    FROM jsonb_array_elements_text(children) AS entry (value)
) WHERE jsonb_array_length(children) > 0;
"""
NO_CHILDREN = """
UPDATE images_manifest SET children = (
    SELECT jsonb_agg(entry.value -> 'digest') FROM jsonb_array_elements(children) AS entry (value)
) WHERE jsonb_array_length(children) > 0;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('images', '0002_depth'),
    ]

    operations = [
        migrations.RunSQL(NAMES, NO_NAMES),
        migrations.AlterField(
            model_name='image',
            name='owner',
            field=models.ForeignKey(blank=True, db_index=False, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AlterField(
            model_name='image',
            name='full_name',
            field=models.CharField(blank=True, editable=False, max_length=231),
        ),
        migrations.AddIndex(
            model_name='image',
            index=models.Index(fields=['owner', 'name', 'id'], name='image_by_name'),
        ),
        migrations.AddIndex(
            model_name='image',
            index=models.Index(fields=['owner', 'visibility', 'id'], name='image_by_type'),
        ),
        migrations.AddIndex(
            model_name='image',
            index=models.Index(fields=['owner', 'tag_count', 'id'], name='image_by_tags'),
        ),
        migrations.AddIndex(
            model_name='image',
            index=models.Index(fields=['owner', 'size', 'id'], name='image_by_size'),
        ),
        migrations.AddIndex(
            model_name='image',
            index=models.Index(fields=['owner', 'created_at', 'id'], name='image_by_creation'),
        ),
        migrations.AddIndex(
            model_name='image',
            index=models.Index(models.F('owner'), models.OrderBy(models.F('last_push_at'), nulls_first=True), models.F('id'), name='image_by_push'),
        ),
        migrations.AddIndex(
            model_name='image',
            index=models.Index(models.F('owner'), models.Func(models.F('full_name'), models.Value('/'), models.Value(1), function='split_part', output_field=models.CharField(max_length=30)), models.F('id'), include=('full_name',), name='image_by_namespace'),
        ),
        migrations.AddIndex(
            model_name='image',
            index=models.Index(fields=['owner', 'changed_at'], name='image_changed'),
        ),
        migrations.AddIndex(
            model_name='image',
            index=models.Index(fields=['namespace', 'size', 'id'], name='image_storage'),
        ),
        migrations.AddConstraint(
            model_name='image',
            constraint=models.UniqueConstraint(fields=('full_name',), name='image_full_name_unique'),
        ),
        migrations.RunSQL(CHILDREN, NO_CHILDREN),
    ]
