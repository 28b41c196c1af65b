"""Background jobs: how they are queued, retried, and which errors are an outage."""
