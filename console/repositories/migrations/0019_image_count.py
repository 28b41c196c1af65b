from django.db import migrations

# Triggers update the counts, however an image is created, moved or deleted: one UPDATE for all images of a statement. In
# a race the second one waits for the namespace's row, so the counts are exact. What creates or deletes an image locks
# that row first, as its name is read with the same lock: with FOR SHARE, two would wait for each other's UPDATE.
NAME = """
CREATE OR REPLACE FUNCTION images_write_name() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Locked, so that a namespace that changes hands just now takes this image along.
    SELECT namespace.owner_id, namespace.name || '/' || NEW.name INTO NEW.owner_id, NEW.full_name
    FROM namespaces_namespace AS namespace WHERE namespace.id = NEW.namespace_id {lock};
    IF NOT FOUND THEN
        RAISE foreign_key_violation USING MESSAGE = format('namespace %s is not there', NEW.namespace_id);
    END IF;
    RETURN NEW;
END
$$;
"""
COUNTS = """
CREATE FUNCTION images_count_images() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    step integer := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
    UPDATE namespaces_namespace SET image_count = image_count + step * counted.images
    FROM (SELECT namespace_id, count(*) AS images FROM changed GROUP BY namespace_id) AS counted
    WHERE namespaces_namespace.id = counted.namespace_id;
    RETURN NULL;
END
$$;
CREATE FUNCTION images_count_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM namespaces_namespace WHERE id IN (OLD.namespace_id, NEW.namespace_id)
    ORDER BY id FOR NO KEY UPDATE;
    UPDATE namespaces_namespace
    SET image_count = image_count + CASE WHEN id = NEW.namespace_id THEN 1 ELSE -1 END
    WHERE id IN (OLD.namespace_id, NEW.namespace_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER images_count_created AFTER INSERT ON images_image REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION images_count_images();
CREATE TRIGGER images_count_deleted AFTER DELETE ON images_image REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION images_count_images();
CREATE TRIGGER images_count_moved AFTER UPDATE OF namespace_id ON images_image
    FOR EACH ROW WHEN (OLD.namespace_id <> NEW.namespace_id) EXECUTE FUNCTION images_count_moved();
UPDATE namespaces_namespace AS namespace SET image_count = counted.images
FROM (SELECT namespace_id, count(*) AS images FROM images_image GROUP BY namespace_id) AS counted
WHERE namespace.id = counted.namespace_id;
"""
NO_COUNTS = """
DROP TRIGGER images_count_moved ON images_image;
DROP TRIGGER images_count_deleted ON images_image;
DROP TRIGGER images_count_created ON images_image;
DROP FUNCTION images_count_moved();
DROP FUNCTION images_count_images();
UPDATE namespaces_namespace SET image_count = 0 WHERE image_count > 0;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('images', '0018_words_filled'),
        ('namespaces', '0004_image_count'),
    ]

    operations = [
        migrations.RunSQL(NAME.replace('{lock}', 'FOR NO KEY UPDATE'), NAME.replace('{lock}', 'FOR SHARE')),
        migrations.RunSQL(COUNTS, NO_COUNTS),
    ]
