"""The drawing of the rooms in docs/contributing.md."""

from tests.rooms import PAGE, redrawn


def test_the_drawing_of_the_rooms_is_that_of_the_imports():
    text = PAGE.read_text()
    assert redrawn(text) == text, "draw it again with `python -m tests.rooms`"
