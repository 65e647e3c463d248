"""Chat models for graph tests."""

from __future__ import annotations

import pytest

from tests.support.role_model import RoleModel


@pytest.fixture
def role_model() -> RoleModel:
    return RoleModel()


@pytest.fixture
def meeting_model() -> RoleModel:
    """Its trackers return only once three of them have been called at the same time."""
    return RoleModel(meet=3)
