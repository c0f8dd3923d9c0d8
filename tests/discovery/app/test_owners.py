"""Owners: who is told of which workload, and files that do not say it."""

from __future__ import annotations

from pathlib import Path

import pytest

from discovery.app.owners import NOBODY, folder_of, owner_labels, read_owners
from discovery.model.errors import OptionError
from tests.discovery.learn.builders import ref

FILE = """
# the platform owns what nobody else does
*            @acme/platform
shop         @acme/shop      # a namespace
shop/pay-*   @acme/payments
d?ta/db      storage
"""


def test_the_last_line_that_fits_counts(tmp_path: Path) -> None:
    """A namespace stands for all of its workloads; a later line overrules an earlier one."""
    path = tmp_path / "OWNERS"
    path.write_text(FILE, encoding="utf-8")
    owners = read_owners(path)
    assert [owners.of(ref(name, namespace=namespace)) for namespace, name in (
        ("shop", "web"), ("shop", "pay-api"), ("shop", "repay-x"), ("data", "db"), ("data", "cache"),
    )] == ["@acme/shop", "@acme/payments", "@acme/shop", "storage", "@acme/platform"]  # fmt: skip


def test_a_byte_order_mark_is_no_part_of_a_pattern(tmp_path: Path) -> None:
    """Editors of Windows write one."""
    path = tmp_path / "OWNERS"
    path.write_text("shop @acme/shop\n", encoding="utf-8-sig")
    assert read_owners(path).lines == (("shop", "@acme/shop"),)


def test_workloads_without_an_owner_get_no_label(tmp_path: Path) -> None:
    """Only what a line names; the label is what a label value may be."""
    path = tmp_path / "OWNERS"
    path.write_text("shop/web @acme/shop team\n".replace(" team", ""), encoding="utf-8")
    owners = read_owners(path)
    assert owners.of(ref("api")) == NOBODY
    assert owner_labels(owners, [ref("web"), ref("api")]) == {ref("web"): "acme-shop"}


@pytest.mark.parametrize(
    ("owner", "folder"), [("@acme/shop", "acme-shop"), ("a b*", "a-b"), ("", "unowned"), ("../..", "unowned")]
)
def test_names_of_pages_stay_inside_their_folder(owner: str, folder: str) -> None:
    """Whatever an owner is called, its page is one file of plain characters."""
    assert folder_of(owner) == folder


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("shop\n", "OWNERS:1: 'shop' is not a pattern and one owner"),
        ("\nshop @a @b\n", "OWNERS:2: 'shop @a @b' is not"),
        ("a/b/c @a\n", "is not a pattern"),
        ("/web @a\n", "is not a pattern"),
        ("shop @/\n", "cannot name a page"),
        (f"shop {'x' * 64}\n", "cannot name a page"),
        ("shop @a/b\ndata a-b\n", "would share the page a-b"),
    ],
)
def test_what_is_no_owner_is_said_with_its_place(tmp_path: Path, text: str, why: str) -> None:
    """A line that cannot be understood must not leave its workloads to somebody else."""
    path = tmp_path / "OWNERS"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(OptionError, match=why):
        read_owners(path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """Bytes that are no text, and no file at all."""
    (tmp_path / "OWNERS").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "OWNERS", tmp_path / "none"):
        with pytest.raises(OptionError, match=str(path)):
            read_owners(path)
