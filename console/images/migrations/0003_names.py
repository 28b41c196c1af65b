from django.db import migrations

# The pieces that console.images.search looks for, made where no way of creating an image can forget them.
PIECES = """
CREATE FUNCTION images_pieces(whole text) RETURNS varchar(3)[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT array_agg(DISTINCT substr(whole, start, width)::varchar(3))
    FROM generate_series(1, 3) AS width, generate_series(1, length(whole) - width + 1) AS start
$$;
CREATE FUNCTION images_write_name() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    whole text;
BEGIN
    SELECT lower(namespace.name || '/' || NEW.name) INTO STRICT whole
    FROM namespaces_namespace AS namespace WHERE namespace.id = NEW.namespace_id;
    INSERT INTO images_imagename (image_id, name, pieces) VALUES (NEW.id, whole, images_pieces(whole))
    ON CONFLICT (image_id) DO UPDATE SET name = excluded.name, pieces = excluded.pieces;
    RETURN NULL;
END
$$;
CREATE TRIGGER images_write_name AFTER INSERT OR UPDATE OF namespace_id, name ON images_image
    FOR EACH ROW EXECUTE FUNCTION images_write_name();
INSERT INTO images_imagename (image_id, name, pieces)
SELECT image.id, lower(namespace.name || '/' || image.name), images_pieces(lower(namespace.name || '/' || image.name))
FROM images_image AS image JOIN namespaces_namespace AS namespace ON namespace.id = image.namespace_id;
"""
NO_PIECES = """
DROP TRIGGER images_write_name ON images_image;
DROP FUNCTION images_write_name();
DROP FUNCTION images_pieces(text);
"""
# Until now an index's children were listed by their digests alone. The next reconcile reads the rest.
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
        migrations.RunSQL(PIECES, NO_PIECES),
        migrations.RunSQL(CHILDREN, NO_CHILDREN),
    ]
