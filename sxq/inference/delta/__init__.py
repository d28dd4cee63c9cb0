"""Candidates near a known one, computed as the difference from it."""
