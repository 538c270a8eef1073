"""Suites and faults from text, without a word about files."""

import pytest

from collapsecli.errors import SuiteError
from collapsecli.suite import load


@pytest.fixture
def suite_of(tmp_path):
    """The suite in a text, beside some other files."""

    def loaded(text, files=None, name="suite.yaml"):
        for other, content in (files or {}).items():
            (tmp_path / other).write_bytes(content if isinstance(content, bytes) else content.encode())
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(path)

    return loaded


@pytest.fixture
def faults_of(suite_of, tmp_path):
    """The faults of a text as `file:line:column: message (hint)`, the suite's own file left out."""

    def found(text, files=None):
        with pytest.raises(SuiteError) as raised:
            suite_of(text, files)
        return [
            str(fault).replace(f"{tmp_path}/", "").removeprefix("suite.yaml:").strip() for fault in raised.value.faults
        ]

    return found
