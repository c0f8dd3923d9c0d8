"""The test suite; its folders mirror the sources."""
