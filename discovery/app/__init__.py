"""The use cases as plain functions over typed options: the public API."""
