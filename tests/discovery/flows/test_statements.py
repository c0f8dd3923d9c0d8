"""SQL in files beside the code."""

from __future__ import annotations

import re

import pytest

from discovery.flows.statements import fill, load_statements


@pytest.mark.parametrize("file", ["rollup.sql", "settle.sql"])
def test_each_statement_has_a_name_and_is_one(file: str) -> None:
    """Names are unique and every statement creates or fills one table."""
    found = load_statements(file)
    assert found
    for text in found.values():
        code = re.sub(r"^--.*$", "", text, flags=re.MULTILINE).strip()
        assert re.match(r"CREATE OR REPLACE TEMP TABLE|INSERT INTO", code)
        assert ";" not in code


def test_the_rollup_runs_in_the_order_of_the_file() -> None:
    """Cells come first, edges after what they join."""
    names = list(load_statements("rollup.sql"))
    assert names[0] == "cells"
    assert names.index("members") < names.index("edges") < names.index("failed")


def test_values_may_hold_braces() -> None:
    """Filling replaces known names alone; a path with braces stays as it is."""
    assert fill("SELECT {a} FROM {b} WHERE {c}", {"a": "'{b'", "c": "x"}) == "SELECT '{b' FROM {b} WHERE x"
