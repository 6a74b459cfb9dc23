"""Names in one text: the same strings, and little memory."""

import pickle
import sys

import pytest

from regatta.names import Names

GIVEN = ["a/1.png", "", "Ærø/ö.jpg", "a/\udce9.png", "a/1.png"]


def test_names_are_the_strings_that_were_given() -> None:
    names = Names(GIVEN)
    assert (list(names), len(names)) == (GIVEN, 5)
    assert (names[2], names[-1]) == (GIVEN[2], GIVEN[-1])
    assert names[1:4] == GIVEN[1:4] == list(Names(GIVEN)[1:4])
    assert "Ærø/ö.jpg" in names and "ö" not in names


def test_names_equal_the_same_strings_in_any_sequence_and_no_others() -> None:
    assert Names(GIVEN) == tuple(GIVEN) == Names(GIVEN)
    assert Names(GIVEN) != GIVEN[:-1] and Names(["ab", "c"]) != ["a", "bc"]
    assert Names() == () and not Names()


def test_a_place_that_is_not_there_is_an_index_error() -> None:
    for at in (5, -6):
        with pytest.raises(IndexError):
            Names(GIVEN)[at]


def test_names_take_less_than_half_of_the_memory_of_strings() -> None:
    given = [f"train/class/{number:05}.jpg" for number in range(10_000)]
    apart = sys.getsizeof(given) + sum(map(sys.getsizeof, given))
    assert len(pickle.dumps(Names(given))) < apart / 2.5
