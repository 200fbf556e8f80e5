"""Domains of frames and confidences of annotations, as plugins see them."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from mitobench import api


def frame(**given: Any) -> api.Frame:
    return api.Frame("1", "set", "s", "A", (0.25, 0.25), (4, 4), np.zeros, **given)


def test_a_frame_has_no_domains_by_default() -> None:
    assert dict(frame().domains) == {}


def test_domains_are_read_only_and_survive_a_pickle() -> None:
    made = frame(domains={"tumour": "melanoma", "lab": ""})
    assert dict(made.domains) == {"tumour": "melanoma"}, "empty texts are left out"
    with pytest.raises(TypeError):
        made.domains["tumour"] = "other"  # type: ignore[index]
    assert pickle.loads(pickle.dumps(made)).domains == made.domains
    assert hash(made) == hash(frame())


def test_an_unknown_domain_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(api.DataError, match=r"Unknown domain 'tumor'\. Did you mean tumour"):
        frame(domains={"tumor": "melanoma"})


@pytest.mark.parametrize("name", ["confidence", "imposter_confidence"])
def test_a_confidence_has_one_value_a_point(name: str) -> None:
    with pytest.raises(api.DataError, match="2 confidences for 1"):
        api.Mitoses(np.zeros((1, 2)), imposters=np.zeros((1, 2)), **{name: np.ones(2)})
