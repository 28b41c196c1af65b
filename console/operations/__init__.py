"""Operations: worker, stalled jobs, preparing a start, backup and restore commands."""
