"""What is said of a switch, and how long the former colour is waited for."""

from __future__ import annotations

import re
from pathlib import Path

from process_model import admission, colours
from process_model.switch import FORMER_SECONDS, Switched
from support import ROOT


def test_a_switch_is_one_sentence() -> None:
    done = Switched("blue", "green", 0.3, 1.0, 0.4, 0)
    assert done.sentence("plane-api") == (
        "plane-api: blue -> green, traffic moved in 0.3 s, drained in 1.0 s, stopped in 0.4 s"
    )


def test_what_was_cut_is_said_and_a_stop_by_somebody_else_is_not() -> None:
    done = Switched(None, "blue", 0.3, 30.0, None, 2)
    assert done.sentence("plane-api") == (
        "plane-api: nothing -> blue, traffic moved in 0.3 s, drained in 30.0 s; "
        "2 requests outlived the grace period and were cut"
    )


def test_a_colour_is_drained_once_it_holds_nothing() -> None:
    held = iter([3, 1, 0])
    assert colours.drain(lambda: next(held), 60).cut == 0


def test_what_is_held_at_the_limit_is_cut() -> None:
    assert colours.drain(lambda: 2, 0).cut == 2


def test_what_a_colour_hands_over_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "admission.cfg"
    file.write_text(
        "frontend plane-api from plane\n"
        "    use_backend plane-graphql if { path_beg /graphql/ /marketplace/ }\n"
        "    use_backend plane-api.page-description if { path -m reg x }\n"
        "    default_backend plane-api\n"
    )
    assert admission.handed_over(file, "plane-api") == {"plane-graphql"}


def test_a_former_haproxy_is_waited_for_longer_than_it_keeps_an_idle_client() -> None:
    configuration = (ROOT / "ansible/roles/admission/templates/haproxy.cfg.j2").read_text()
    kept = re.search(r"timeout http-keep-alive (\d+)s", configuration)
    assert kept
    assert int(kept[1]) < FORMER_SECONDS
