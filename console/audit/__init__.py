"""The audit log: who did what, when and from where. Every room may write to it."""
