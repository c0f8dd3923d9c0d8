"""Edges -> graph -> selectors -> peers -> intent."""
