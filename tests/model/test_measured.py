"""What a model's card says in words."""

from __future__ import annotations

from mitobench.model.measured import f1_text, note_text
from model.toy_models import card

SHARED = "mitos2012: slides are shared between training and test"


def test_a_test_on_slides_that_were_learned_from_is_said_beside_its_f1() -> None:
    assert f1_text(card()).endswith("nothing else is found.")
    assert f1_text(card(notes=[SHARED])).endswith("slides that the model learned from: expect less on others.")


def test_notes_are_in_words_that_need_no_knowledge_of_training() -> None:
    assert note_text(SHARED) == "some test images of mitos2012 are of slides it learned from"
    rest = "its test slides are not learned from, its validation slides choose too"
    assert (
        note_text(f"mitos2014: split together with mitos2012; {rest}")
        == "images of mitos2014 helped to choose the threshold"
    )
    assert note_text("another note") == "another note"
