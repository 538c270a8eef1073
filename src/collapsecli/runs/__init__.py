"""The run folder: what was asked, what came back, what was concluded. Nothing sampled is ever lost here."""

from collapsecli.runs.folder import DISK_ERRORS, RunFolder, find_run, new_run_id, runs_root
from collapsecli.runs.located import TRANSIENT
from collapsecli.runs.manifest import (
    Joined,
    Manifest,
    Slice,
    SuiteSource,
    differences,
    fingerprint_fields,
    fingerprint_of,
    git_revision,
    plan_digest,
)
from collapsecli.runs.tables import TABLES, Column

__all__ = [
    "DISK_ERRORS",
    "TABLES",
    "TRANSIENT",
    "Column",
    "Joined",
    "Manifest",
    "RunFolder",
    "Slice",
    "SuiteSource",
    "differences",
    "find_run",
    "fingerprint_fields",
    "fingerprint_of",
    "git_revision",
    "new_run_id",
    "plan_digest",
    "runs_root",
]
