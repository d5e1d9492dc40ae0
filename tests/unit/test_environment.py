from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from process_model.environment import environment_line


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("plain", 'KEY="plain"'),
        ("", 'KEY=""'),
        ("with space # and 'quote'", "KEY=\"with space # and 'quote'\""),
        ('double " quote', r'KEY="double \" quote"'),
        ("back\\slash $HOME `id`", 'KEY="back\\\\slash \\$HOME \\`id\\`"'),
    ],
)
def test_a_value_is_quoted_as_systemd_reads_it(value: str, line: str) -> None:
    assert environment_line("KEY", value) == line


@pytest.mark.parametrize("value", ["two\nlines", "null\0", "carriage\r"])
def test_a_value_that_no_environment_file_can_hold_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="the value of KEY"):
        environment_line("KEY", value)


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "A="])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        environment_line(name, "x")


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126)))
def test_a_shell_reads_back_exactly_the_value(value: str) -> None:
    """The escapes are the shell's own inside double quotes, so a shell proves them for every printable value."""
    shell = shutil.which("sh") or "/bin/sh"
    script = f'{environment_line("KEY", value)}; printf %s "$KEY"'
    assert subprocess.run([shell, "-c", script], capture_output=True, text=True, check=True).stdout == value
