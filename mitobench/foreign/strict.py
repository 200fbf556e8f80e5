"""The base class of all models that are read from files."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Cannot be changed, and rejects unknown keys, so that a misspelt key is an error and not silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)
