"""YAML in, Suite out, and from it the cells to sample. The only folder that knows YAML; no engine, no run."""

from __future__ import annotations

from collapsecli.suite.draft import Source, Suite
from collapsecli.suite.ids import cell_id, model_names
from collapsecli.suite.load import load, load_all
from collapsecli.suite.plan import Plan, PlanTotals, plan
from collapsecli.suite.prompts import FormatName
from collapsecli.suite.schema import json_schema

__all__ = [
    "FormatName",
    "Plan",
    "PlanTotals",
    "Source",
    "Suite",
    "cell_id",
    "json_schema",
    "load",
    "load_all",
    "model_names",
    "plan",
]
