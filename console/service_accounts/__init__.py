"""Service accounts of a namespace: accounts for programs, with access tokens only."""
