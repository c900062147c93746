"""Draw which rooms of kgdists there are, and which they use, from the imports, into docs/contributing.md.

python -m tests.rooms
"""

from pathlib import Path

from tests.test_imports import FLOORS, TREES, own_imports, room_of

PAGE = Path(__file__).parent.parent / "docs" / "contributing.md"
BEGIN, END = "<!-- rooms, by `python -m tests.rooms` -->\n", "<!-- end of rooms -->\n"


def drawing():
    """A line for each room, the upper floors first: its files, and the rooms it imports from."""
    lines = ["| floor | room | files | uses |", "| --- | --- | --- | --- |"]
    for floor, rooms in reversed([*enumerate(FLOORS)]):
        for room in sorted(rooms - {"", "__main__"}):
            own = [name for name in TREES if room_of(name) == room]
            used = {room_of(other) for name in own for other in own_imports(TREES[name])} - {room}
            uses = ", ".join(f"`{other}`" for other in sorted(used))
            lines.append(f"| {floor} | `{room}` | {len(own)} | {uses} |")
    return "\n".join(lines) + "\n"


def redrawn(text):
    """The page with the drawing in its place."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + "\n" + drawing() + "\n" + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(redrawn(PAGE.read_text()))
