-- The same people, and what came with the second version: documents, pulls, copies, activity.
INSERT INTO accounts_account (id, password, last_login, is_superuser, account_id, name, email, is_active, is_staff, created_at, namespace_quota, image_quota, tag_quota) VALUES
    (1, '{console}', NULL, true, '111111111111', 'Ann', 'ann@example.com', true, true, '2025-01-01Z', NULL, NULL, NULL),
    (2, '{console}', NULL, false, '222222222222', 'Ben', NULL, true, false, '2025-01-02Z', 3, 4, 5);
INSERT INTO accounts_registrycredential (id, account_id, username, password, version, created_at, activated_at) VALUES
    (1, 1, 'ann-registry', '{registry}', 3, '2025-01-01Z', '2025-01-01Z'),
    (2, 2, 'ben-registry', '{registry}', 1, '2025-01-02Z', '2025-01-02Z');
INSERT INTO namespaces_namespace (id, name, created_at, changed_at, available_at, owner_id, new_owner_id) VALUES
    (1, 'team', '2025-01-01Z', '2025-01-01Z', NULL, 1, NULL),
    (2, 'lab', '2025-01-02Z', '2025-01-02Z', NULL, 2, NULL);
INSERT INTO images_image (id, namespace_id, name, visibility, description, state, created_at, tag_count, size, last_push_at, attachment_count, changed_at, last_pull_at, pull_count) VALUES
    (1, 1, 'app', 'public', 'What it is.', 'active', '2025-01-04Z', 2, 300, '2025-01-05Z', 0, '2025-01-05Z', '2025-01-06Z', 7),
    (2, 1, 'web/api', 'private', '', 'active', '2025-01-04Z', 0, 0, NULL, 0, '2025-01-04Z', NULL, 0),
    (3, 2, 'tool', 'private', '', 'active', '2025-01-04Z', 0, 0, NULL, 0, '2025-01-04Z', NULL, 0);
INSERT INTO images_document (digest, media_type, content, config) VALUES
    ('sha256:{a}', 'application/vnd.oci.image.manifest.v1+json', '{{"layers": []}}', '{{}}');
INSERT INTO images_manifest (id, image_id, digest, media_type, kind, size, platforms, blobs, children, is_child, doomed, artifact_type, subject, created_at, pull_count, last_pull_at) VALUES
    (1, 1, 'sha256:{a}', 'application/vnd.oci.image.manifest.v1+json', 'image', 100, '["linux/amd64"]', '["sha256:{c}"]', '[]', true, false, '', '', NULL, 3, NULL),
    (2, 1, 'sha256:{b}', 'application/vnd.oci.image.index.v1+json', 'index', 200, '["linux/amd64"]', '[]', '[{{"digest": "sha256:{a}", "platform": "linux/amd64"}}]', false, false, '', '', NULL, 0, NULL);
INSERT INTO images_tag (id, image_id, manifest_id, name, pushed_at, pushed_by, state, problem, deleting_since, last_pull_at, missing_at, pull_count, subject) VALUES
    (1, 1, 1, 'v1', '2025-01-05Z', '111111111111', 'active', '', NULL, NULL, NULL, 7, ''),
    (2, 1, 2, 'latest', '2025-01-05Z', '111111111111', 'active', '', NULL, NULL, NULL, 0, '');
INSERT INTO images_dailyactivity (id, image_id, day, pushes, pulls) VALUES (1, 1, '2025-01-05', 2, 7);
INSERT INTO images_copy (id, image_id, tag, source, digest, requested_at, requested_by, state, problem)
    VALUES (1, 2, 'v1', 'team/app', 'sha256:{a}', '2025-01-05Z', '111111111111', 'failed', 'It did not work.');
INSERT INTO images_pusheddigest (id, repository, digest, told_at) VALUES (1, 'team/app', 'sha256:{c}', '2025-01-05Z');
INSERT INTO indexing_reconcile (id, started_at, ended_at, state, whole, adopt_for, total, done, counts, problem)
    VALUES (1, '2025-01-05Z', '2025-01-05Z', 'done', true, '', 3, 3, '{{}}', '');
INSERT INTO audit_auditevent (id, at, actor, action, target, detail, address)
    VALUES (1, '2025-01-01Z', '111111111111', 'namespace.create', 'team', '{{"old": null}}', '127.0.0.1');
