"""Running the installation: worker, stalled jobs, health, preparing a start."""
