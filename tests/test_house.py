"""What `make house` measures, on sources whose shape is known."""

from __future__ import annotations

from pathlib import Path

from tests.tools import calls, house

ONE = '''"""A docstring
of two lines."""

from f5serve import two

# a comment
TEXT = """a string
that is code"""


def long() -> None:
    """Another docstring."""
    try:
        two.f()
    except (ValueError, Exception):
        pass
'''


def test_lines_of_code_are_neither_blank_nor_comments_nor_docstrings() -> None:
    assert house.code_lines(ONE) == 8


def test_modules_their_imports_and_cycles(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(ONE)
    (tmp_path / "two.py").write_text("from f5serve.one import long\nf = long\n")
    (tmp_path / "three.py").write_text("def late():\n    from f5serve.two import f\n    f()\n")
    modules = house.read(tmp_path)
    assert {m.name: (m.imports, m.uses) for m in modules} == {
        "one": ({"two"}, {"two"}),
        "two": ({"one"}, {"one"}),
        "three": (set(), {"two"}),
    }
    shape = house.shape(modules)
    assert (shape["files"], shape["lines"], shape["median_lines"]) == (3, 13, 3)
    assert (shape["catch_alls"], shape["cycles"]) == (1, [("one", "two")])
    assert shape["longest_function"] == (6, "one")


def test_imports_of_this_source_have_no_cycle() -> None:
    assert house.cycles(house.read()) == []


def test_one_request_runs_few_functions_in_few_files_and_does_its_work_once() -> None:
    found = {name: path.figures() for name, path in calls.measure().items()}
    for name, most in {
        "speech": {"functions": 376, "files": 79, "cleaned": 1, "planned": 1, "validated": 1},
        "job": {"functions": 372, "files": 74, "cleaned": 1, "planned": 1, "validated": 1},
    }.items():
        assert found[name]["functions"] > 50, "nothing was measured"
        assert all(found[name][each] <= bound for each, bound in most.items()), found[name]
        assert 1 <= found[name]["encoded"] <= 2, found[name]  # the stretch, and its end
