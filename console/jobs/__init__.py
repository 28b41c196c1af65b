"""Background jobs: queues, retries, and which errors count as an outage."""
