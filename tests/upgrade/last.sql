-- On top of the third version's: logins with Docker, second factors, an identity elsewhere, held-back guesses, a hint.
UPDATE accounts_account SET sessions_ended = 3 WHERE id = 2;
INSERT INTO tokens_login (id, account_id, version, client, created_at, created_from, last_used_at, last_used_from) VALUES
    ('00000000-0000-0000-0000-000000000001', 1, 3, 'docker-of-ann', '2125-01-05Z', '10.0.0.1', '2125-01-06Z', '2001:db8::1'),
    ('00000000-0000-0000-0000-000000000002', 2, 1, '', '2125-01-05Z', NULL, NULL, NULL);
INSERT INTO guessing_mark (key, until) VALUES ('00000000-0000-0000-0000-000000000003', '2125-01-05Z');
INSERT INTO mfa_authenticator (id, user_id, type, data, created_at, last_used_at) VALUES
    (1, 1, 'totp', '{{"secret": "of no use"}}', '2025-01-05Z', '2025-01-06Z'),
    (2, 1, 'recovery_codes', '{{"seed": "of no use", "used_mask": 3}}', '2025-01-05Z', NULL);
INSERT INTO socialaccount_socialaccount (id, user_id, provider, uid, last_login, date_joined, extra_data)
    VALUES (1, 1, 'company', 'ann-elsewhere', '2025-01-06Z', '2025-01-05Z', '{{"sub": "ann-elsewhere"}}');
INSERT INTO account_emailaddress (id, user_id, email, verified, "primary") VALUES (1, 1, 'ann@example.com', true, true);
INSERT INTO indexing_hint (id, repository, tag, pushed_at, pushed_by, version, alone) VALUES
    (1, 'team/app', 'v1', '2025-01-05Z', 'ann-registry', 2, true), (2, 'team/app', 'v2', NULL, '', 1, false);
INSERT INTO audit_auditevent (id, at, actor, action, target, detail, address)
    VALUES (1001, '2025-01-05Z', '111111111111', 'token.grant', 'team/app', '{{"times": 2}}', '10.0.0.1');
