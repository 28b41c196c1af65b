from django.db import migrations

# Triggers update the counts, however an image is created or deleted: one UPDATE for all images of a statement. What
# creates or deletes an image has locked its namespace's row before, so the counts are exact and nothing deadlocks.
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
        migrations.RunSQL(COUNTS, NO_COUNTS),
    ]
