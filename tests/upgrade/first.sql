-- Rows as the first version had them: three people, namespaces of each kind, images, an index and its platform, a deletion.
INSERT INTO accounts_account (id, password, last_login, is_superuser, account_id, name, email, is_active, is_staff, created_at, namespace_quota, image_quota, tag_quota) VALUES
    (1, '{console}', NULL, true, '111111111111', 'Ann', 'ann@example.com', true, true, '2025-01-01Z', NULL, NULL, NULL),
    (2, '{console}', NULL, false, '222222222222', 'Ben', NULL, true, false, '2025-01-02Z', 3, 4, 5),
    (3, '{console}', NULL, false, '333333333333', 'Gone', NULL, false, false, '2025-01-03Z', NULL, NULL, NULL);
INSERT INTO accounts_registrycredential (id, account_id, username, password, version, created_at, activated_at) VALUES
    (1, 1, 'ann-registry', '{registry}', 3, '2025-01-01Z', '2025-01-01Z'),
    (2, 2, 'ben-registry', '{registry}', 1, '2025-01-02Z', '2025-01-02Z');
INSERT INTO namespaces_namespace (id, name, created_at, available_at, owner_id, new_owner_id) VALUES
    (1, 'team', '2025-01-01Z', NULL, 1, NULL),
    (2, 'lab', '2025-01-02Z', NULL, 2, NULL),
    (3, 'moving', '2025-01-03Z', '2025-02-01Z', 1, 2);
INSERT INTO namespaces_namespacehold (name, until, last_owner_id) VALUES ('held', '2035-01-01Z', 2);
INSERT INTO images_image (id, namespace_id, name, visibility, description, state, created_at, tag_count, size, last_push_at) VALUES
    (1, 1, 'app', 'public', 'What it is.', 'active', '2025-01-04Z', 2, 300, '2025-01-05Z'),
    (2, 1, 'web/api', 'private', '', 'active', '2025-01-04Z', 0, 0, NULL),
    (3, 2, 'tool', 'private', '', 'deleting', '2025-01-04Z', 1, 100, '2025-01-06Z'),
    (4, 3, 'app', 'private', '', 'active', '2025-01-04Z', 0, 0, NULL);
INSERT INTO images_manifest (id, image_id, digest, media_type, size, platforms, blobs, children) VALUES
    (1, 1, 'sha256:{a}', 'application/vnd.oci.image.manifest.v1+json', 100, '["linux/amd64"]', '["sha256:{c}"]', '[]'),
    (2, 1, 'sha256:{b}', 'application/vnd.oci.image.index.v1+json', 200, '["linux/amd64"]', '[]', '["sha256:{a}", "sha256:{c}"]'),
    (3, 3, 'sha256:{a}', 'application/vnd.oci.image.manifest.v1+json', 100, '["linux/amd64"]', '["sha256:{c}"]', '[]');
INSERT INTO images_tag (id, image_id, manifest_id, name, pushed_at, pushed_by, state, problem) VALUES
    (1, 1, 1, 'v1', '2025-01-05Z', '111111111111', 'active', ''),
    (2, 1, 2, 'latest', '2025-01-05Z', '111111111111', 'active', ''),
    (3, 3, 3, 'v1', '2025-01-06Z', '', 'active', '');
INSERT INTO images_imagedeletion (id, image_id, requested_at, requested_by, phase, total, done, problem)
    VALUES (1, 3, '2025-01-07Z', '222222222222', 'tags', 2, 1, '');
INSERT INTO images_doomedmanifest (id, deletion_id, tag, digest, buried, removed) VALUES (1, 1, 'v1', 'sha256:{a}', true, false);
INSERT INTO indexing_hint (id, repository, tag, pushed_at, pushed_by, version)
    VALUES (1, 'team/app', 'v1', '2025-01-05Z', '111111111111', 2);
INSERT INTO audit_auditevent (id, at, actor, action, target, detail, address)
    VALUES (1, '2025-01-01Z', '111111111111', 'namespace.create', 'team', '{{"old": null}}', '127.0.0.1');
INSERT INTO procrastinate_jobs (queue_name, task_name, status, lock, queueing_lock, args)
    VALUES ('work', 'images.delete', 'todo', 'repository:lab/tool', 'delete lab/tool', '{{"image_id": 3}}');
