"""Images, manifests and tags as rows: models, querysets, totals, quotas; nothing here asks the registry."""
