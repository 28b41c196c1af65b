"""The gate in front of the registry: manifest writes, referrers, tag lists and the catalogue."""
