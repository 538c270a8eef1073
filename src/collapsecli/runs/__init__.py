"""The run folder: what was asked, what came back, what was concluded. Nothing sampled is ever lost here."""

from collapsecli.runs.folder import DISK_ERRORS, TRANSIENT, RunFolder, find_run, new_run_id, runs_root
from collapsecli.runs.manifest import (
    Manifest,
    SuiteSource,
    differences,
    fingerprint_fields,
    fingerprint_of,
    git_revision,
)
from collapsecli.runs.tables import TABLES, Column

__all__ = [
    "DISK_ERRORS",
    "TABLES",
    "TRANSIENT",
    "Column",
    "Manifest",
    "RunFolder",
    "SuiteSource",
    "differences",
    "find_run",
    "fingerprint_fields",
    "fingerprint_of",
    "git_revision",
    "new_run_id",
    "runs_root",
]
