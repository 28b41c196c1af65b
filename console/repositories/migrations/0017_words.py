"""The words of descriptions, for the search over all images: a table, and triggers that write it."""

import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
from django.db import migrations, models

# As in console/repositories/words.py, where a test compares the two.
SEPARATORS = (
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
    "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f\x85\xa0\u2002\u2003\u2009\u2028\u2029\u202f\u3000"
    "«»‘’‚“”„‹›–—…·•、。《》「」『』【】！（），：；？"
)
WORDS = """
CREATE FUNCTION images_words(whole text) RETURNS tsvector LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $words$
    SELECT coalesce(array_to_tsvector(array_agg(DISTINCT left(word, 64))), ''::tsvector)
    FROM unnest(string_to_array(translate(lower(whole), '{separators}', repeat(' ', {number})), ' ')) AS word
    WHERE word <> ''
$words$;
-- Who may see the image stands there as well, so that the index finds what one account may see. No word has a slash.
CREATE FUNCTION images_words_of(image images_image) RETURNS tsvector LANGUAGE sql STABLE AS $$
    SELECT images_words(image.description) || array_to_tsvector(
        CASE WHEN image.visibility = 'public' AND image.state = 'active' THEN ARRAY['/public', '/' || image.owner_id]
        ELSE ARRAY['/' || image.owner_id] END
    )
$$;
CREATE FUNCTION images_write_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.description = '' THEN
        DELETE FROM images_imagewords WHERE image_id = NEW.id;
    ELSE
        INSERT INTO images_imagewords (image_id, words) VALUES (NEW.id, images_words_of(NEW))
        ON CONFLICT (image_id) DO UPDATE SET words = excluded.words;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER images_write_first_words AFTER INSERT ON images_image
    FOR EACH ROW WHEN (NEW.description <> '') EXECUTE FUNCTION images_write_words();
CREATE TRIGGER images_write_words AFTER UPDATE OF namespace_id, owner_id, visibility, state, description ON images_image
    FOR EACH ROW WHEN (
        OLD.owner_id <> NEW.owner_id OR OLD.visibility <> NEW.visibility OR OLD.state <> NEW.state
        OR OLD.description <> NEW.description
    )
    EXECUTE FUNCTION images_write_words();
""".replace("{separators}", SEPARATORS.replace("'", "''")).replace("{number}", str(len(SEPARATORS)))  # nosec B608
NO_WORDS = """
DROP TRIGGER images_write_words ON images_image;
DROP TRIGGER images_write_first_words ON images_image;
DROP FUNCTION images_write_words();
DROP FUNCTION images_words_of(images_image);
DROP FUNCTION images_words(text);
"""


class Migration(migrations.Migration):

    dependencies = [
        ('images', '0016_summaries'),
    ]

    operations = [
        migrations.CreateModel(
            name='ImageWords',
            fields=[
                ('image', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='description_words', serialize=False, to='images.image')),
                ('words', django.contrib.postgres.search.SearchVectorField()),
            ],
            options={
                'verbose_name': 'words of a description',
                'verbose_name_plural': 'words of descriptions',
                'indexes': [django.contrib.postgres.indexes.GinIndex(fastupdate=False, fields=['words'], name='image_words')],
            },
        ),
        migrations.RunSQL(WORDS, NO_WORDS),
    ]
