"""Tests of discovery; folders mirror the sources."""
