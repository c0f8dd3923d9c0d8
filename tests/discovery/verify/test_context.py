"""Tests of discovery.verify.context: what policies can refer to."""

from __future__ import annotations

import dataclasses

import pytest

from discovery.verify.context import NO_CONTEXT, Context


def test_nothing_is_defined_by_default() -> None:
    """No groups, no sets, no tiers, and no set that could not be read."""
    assert Context() == NO_CONTEXT
    assert (NO_CONTEXT.cidr_groups, NO_CONTEXT.sets, NO_CONTEXT.tiers, NO_CONTEXT.sets_known) == ({}, (), (), True)


def test_a_context_does_not_change() -> None:
    """Readers share it, so no field of it can be set."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        NO_CONTEXT.sets_known = False  # type: ignore[misc]


def test_contexts_share_no_groups() -> None:
    """Each context has a mapping of its own."""
    assert Context().cidr_groups is not Context().cidr_groups
