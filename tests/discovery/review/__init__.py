"""Tests of the read-back room; manifests are written by hand, never by the generators."""
