-- On top of the second version's: access tokens, stars, Docker Hub's images, a transfer.
INSERT INTO accounts_accesstoken (id, account_id, name, secret_hash, hint, can_push, all_namespaces, created_at, expires_at, last_used_at, last_used_from, revoked_at) VALUES
    (1, 1, 'ci', '{a}', 'abcd', true, false, '2025-01-05Z', NULL, NULL, '10.0.0.1', NULL),
    (2, 1, 'old', '{b}', 'efgh', false, true, '2025-01-05Z', NULL, NULL, NULL, '2025-01-06Z');
INSERT INTO namespaces_namespaceaccess (id, token_id, namespace_id) VALUES (1, 1, 1);
INSERT INTO dockerhub_officialimage (id, name, description, stars, pulls, updated_at, listed, star_count, tags_total, tags_known_at, tags_tried_at, tags_problem, tags_etag, tags_modified)
    VALUES (1, 'debian', 'An operating system.', 5, 6, NULL, true, 0, 0, NULL, NULL, '', '', '');
INSERT INTO favorites_star (id, account_id, image_id, official_image_id, created_at) VALUES
    (1, 2, 1, NULL, '2025-01-05Z'), (2, 1, 1, NULL, '2025-01-05Z'), (3, 1, NULL, 1, '2025-01-05Z');
INSERT INTO transfers_transfer (id, image_id, tag, source, repository, reference, platforms, digest, result, bytes_total, bytes_done, state, finishing, problem, attempt, with_credentials, requested_at, requested_by)
    VALUES (1, 2, 'v2', '', 'library/debian', 'stable', '[]', '', '', 10, 5, 'failed', false, 'It did not work.', 2, false, '2025-01-05Z', '111111111111');
INSERT INTO dockerhub_officialtag (id, image_id, name, digest, size, pushed_at, platforms) VALUES
    (1, 1, 'v1.10.0', '', 7, '2025-01-05Z', '[]'), (2, 1, 'v1.2.0-rc1', '', 7, NULL, '[]');
