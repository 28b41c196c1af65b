"""A few of each kind of fault under load; ``make soak`` makes them at random for as long as one likes."""

from __future__ import annotations

import psutil
import pytest

from tests.faults.client import make
from tests.support.stack import wait_until

# Making a file takes no room there, so that a full disk leaves empty files, as on XFS.
DISK = (500, "tmpfs")
HELD_SECONDS = 6

pytestmark = pytest.mark.faults


# The proof waits for jobs whose worker was killed, ten seconds after its last sign of life: once for all of a line.
@pytest.mark.parametrize(
    "faults",
    [
        ("kill a web worker", "kill the web master", "kill the registry", "kill the inner registry"),
        ("lock tables", "slow the registry", "fill the disk"),
        ("kill the job worker", "kill a database backend", "kill the database", "hold the database"),
        ("kill the supervisor",),
    ],
    ids=" and ".join,
)
def test_faults_under_load(arena, striking, faults):
    striking(*faults)


def test_what_a_killed_registry_had_not_told_yet_is_found(arena):
    """Nobody reconciles by hand, and the hour is not over. Which of the worker's looks finds it is not told apart."""
    client, repository = arena.proof.clients["team0"], "team0/untold"
    client.token(repository)
    # Nobody takes the notification, until the console is there again and the registry is another one.
    console = psutil.Process(arena.stack.pid_of("console"))
    everybody = [console, *console.children()]
    for process in everybody:
        process.kill()
    psutil.wait_procs(everybody, 10)
    made = make(client, repository, b"a layer")
    client.put_manifest(repository, "v1", made)
    arena.harm.kill("registry")
    shown = """
        SELECT manifest.digest FROM images_manifest AS manifest
        JOIN images_image AS image ON image.id = manifest.image_id WHERE image.full_name = %s
    """
    wait_until(lambda: arena.stack.sql(shown, repository) == [(made.digest,)], "the push is in the index")
    arena.ledger.tags[repository, "v1"], arena.ledger.images[repository] = {made.digest}, {True}
    arena.ledger.made[made.digest] = made
