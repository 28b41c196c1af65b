"""The audit trail: who did what, when and from where. Every room may write to it; it imports none."""
