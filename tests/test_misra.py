"""What `make lint` says of MISRA C."""

from benchmarks.misra import Allowance, faults

ALLOWED = {"10.8": Allowance("required", 1), "12.1": Allowance("advisory", 1)}


def test_a_new_rule_and_more_of_a_required_one_are_told():
    assert faults({"10.8": ["a.c:1"], "12.1": ["a.c:1", "a.c:2"]}, ALLOWED) == []
    (more,) = faults({"10.8": ["a.c:1", "b.c:2"]}, ALLOWED)
    assert "rule 10.8: 2 places, 1 are accounted for" in more
    (new,) = faults({"17.2": ["a.c:7"]}, ALLOWED)
    assert "rule 17.2: 1 places, 0 are accounted for:\n  a.c:7" in new
