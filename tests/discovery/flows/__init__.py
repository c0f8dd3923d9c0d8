"""Tests of the columnar side."""
