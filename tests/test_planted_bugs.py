"""Every planted bug is still where it can be planted, and is seen by a test."""

import pytest
from planted_bugs import BUGS, PAGE, Field, caught_by, copied, page, spoiled


@pytest.fixture(scope="module")
def field():
    made = Field()
    yield made
    made.close()


def test_each_bug_can_be_planted():
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 24
    for bug in BUGS:
        compile(spoiled(bug), bug.file, "exec")


def test_page_of_planted_bugs_is_current():
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "run: python tests/planted_bugs.py --markdown"
    )


@pytest.mark.slow
def test_the_tests_pass_without_a_bug(field, tmp_path):
    tests = tuple(sorted({name for bug in BUGS for name in bug.tests}))
    assert field.run(copied(tmp_path), tests) is None


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_seen(bug, field):
    assert caught_by(bug, field)
