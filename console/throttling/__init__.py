"""Holding back whoever guesses passwords, at every door, without locking anybody out."""
