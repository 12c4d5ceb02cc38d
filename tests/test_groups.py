"""Tests that share what takes long to make are run by one process."""

import pytest


@pytest.mark.xdist_group("groups")
def test_groups_are_heeded(request):
    # pytest-xdist writes a group behind the name of its tests. pytest 9.2 takes no notice of that,
    # and the tests pass as well, in much more time.
    if request.config.getoption("loadgroup", default=False):
        assert request.node.nodeid.endswith("@groups")
