"""The tree of errors, as its module draws it."""

from __future__ import annotations

import inspect
import pickle
import re

from histoseed import errors

ROW = re.compile(r"^( +)(\w+)\s+([a-z-]+)\s+(\d)", re.MULTILINE)


def test_the_tree_is_drawn_as_it_is() -> None:
    drawn: list[tuple[int, str]] = []
    seen = set()
    for indent, name, code, status in ROW.findall(f"\n{inspect.getdoc(errors)}\n".replace("HistoseedError  ", "Histo")):
        kind = getattr(errors, name)
        assert (kind.code, str(kind.exit_code)) == (code, status), name
        parent = next((above for depth, above in reversed(drawn) if depth < len(indent)), "HistoseedError")
        assert kind.__base__.__name__ == parent, name
        drawn.append((len(indent), name))
        seen.add(name)
    assert seen == set(errors.__all__) - {"HistoseedError"}


def test_a_lost_cluster_is_no_bad_input() -> None:
    error = errors.ClusterError("The workers are gone.", where="tcp://x", fix="Start again.")
    assert error.code == "cluster"
    assert not isinstance(error, errors.InputError)
    assert str(pickle.loads(pickle.dumps(error))) == "tcp://x: The workers are gone. Fix: Start again."
