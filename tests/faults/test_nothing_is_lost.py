"""A few of each kind of fault under load; ``make soak`` makes them at random for as long as one likes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psutil
import psycopg
import pytest

from console.installation.environment import socket_dir
from tests.faults.client import Unknown, make
from tests.support import disk
from tests.support.stack import wait_until

# Making a file takes no room there, so that a full disk leaves empty files, as on XFS.
DISK = (500, "tmpfs")
HELD_SECONDS = 6

pytestmark = pytest.mark.faults


# The proof waits for jobs whose worker was killed, ten seconds after its last sign of life: once for all of a line.
@pytest.mark.parametrize(
    "faults",
    [
        ("kill the edge", "kill a web worker", "kill the web master", "kill the registry", "kill the inner registry"),
        ("lock tables", "slow the registry", "fill the disk"),
        ("kill the job worker", "kill a database backend", "kill the database", "hold the database"),
        ("kill the supervisor",),
    ],
    ids=" and ".join,
)
def test_faults_under_load(arena, striking, faults):
    striking(*faults)


def test_a_push_that_a_killed_console_had_not_written_down_is_found(arena):
    """The registry has taken the manifest. Nobody reconciles by hand, and the hour is not over."""
    client, repository = arena.proof.clients["team0"], "team0/unwritten"
    made = make(client, repository, b"a layer")
    address = str(socket_dir(arena.stack.data_dir.resolve()))
    with ThreadPoolExecutor(1) as pool:
        with psycopg.connect(host=address, dbname="my_images", user="postgres") as connection:
            # The gate can still read what its rules need, but cannot write the tag.
            connection.execute("LOCK TABLE images_tag IN SHARE MODE")
            pushing = pool.submit(client.put_manifest, repository, "v1", made)
            stored = {"v1": made.digest}
            wait_until(lambda: disk.tags(repository, arena.proof.root) == stored, "the registry has taken it")
            console = psutil.Process(arena.stack.pid_of("console"))
            everybody = [console, *console.children()]
            for process in everybody:
                process.kill()
            psutil.wait_procs(everybody, 10)
        # Whether it was pushed is not known to the client.
        with pytest.raises(Unknown):
            pushing.result()
    # The worker syncs what a request has left for twenty seconds: as if they had passed.
    arena.stack.sql("UPDATE indexing_hint SET pushed_at = pushed_at - interval '20 seconds' RETURNING id")
    shown = """
        SELECT manifest.digest FROM images_tag AS tag
        JOIN images_manifest AS manifest ON manifest.id = tag.manifest_id
        JOIN images_image AS image ON image.id = tag.image_id WHERE image.full_name = %s AND tag.name = 'v1'
    """
    wait_until(lambda: arena.stack.sql(shown, repository) == [(made.digest,)], "the push is in the index", 90)
    arena.ledger.tags[repository, "v1"], arena.ledger.images[repository] = {made.digest}, {True}
    arena.ledger.made[made.digest] = made
