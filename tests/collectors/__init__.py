"""Tests of the collectors: lines in, canonical rows out."""
