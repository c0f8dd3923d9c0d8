"""A small estate called "shop": its traffic as two sources would report it, and the truth behind it."""
