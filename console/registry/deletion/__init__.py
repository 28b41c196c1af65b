"""Deletions: all tags of an image, some tags of it, or what lies under a name that changes hands.

Words, from the pages down. Each verb is used on one level only.

- *mark for deletion*: pages and services mark an image or tags in the database and queue a job
  (``repositories.services.mark_image_for_deletion``, ``mark_tags_for_deletion``).
- *delete*: the jobs (``registry.jobs.delete_image``, ``delete_tags``, ``delete_leftovers``) delete what is marked, by
  ``images.run_image_deletion`` and ``tags.run_tag_deletion``. A job of the namespaces calls ``names.clear_repository``
  and ``names.undo_pushes``.
- *untag*: point some hundred tags at the tombstone (``registry.tombstone``) and remove that one manifest (``steps``).
- *remove*: remove manifests, and the repository's links to their blobs; what the registry cannot delete is recorded
  (``removal``).
- The client (``registry_client``) sends one DELETE for one manifest or blob.

Distribution deletes a manifest by reading every tag of its repository, and removes each tag that points at it. So every
deletion first stores in the database which manifests are to go, then untags, and then removes the manifests, which no
tag names any more. Every step is idempotent: a killed job resumes.

``named`` says what a manifest names, ``late_pushes`` syncs what is pushed while some tags are deleted, ``problems`` has
the sentences for the pages, and ``cancel`` ends a deletion that keeps failing.
"""
