"""`check`, `report`, `schema` and the errors that all commands share."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import jsonschema
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from collapsecli.cli import main


@pytest.fixture
def run(suite_file, script_file, tmp_path, monkeypatch, capfd):
    """A finished run `a` of the small suite; the working folder holds `runs`."""
    monkeypatch.chdir(tmp_path)
    words = ["--engine", "scripted", "-m", str(script_file), "--run-id", "a", "--seed", "1", "-q"]
    assert main(["probe", str(suite_file), *words]) == 0
    capfd.readouterr()
    return tmp_path / "runs" / "a"


# -------------------------------------------------------------------------------------------------------------- check


def test_check_shows_every_cell_and_what_the_suite_costs(suite_file, capfd):
    assert main(["check", str(suite_file)]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert [line.split()[0] for line in out.splitlines()[1:4]] == ["number@t1.0", "coin@t1.0", "capital@t1.0"]
    assert "3 cells · 192 completions · at most 3,072 sampled tokens" in out


def test_check_needs_no_model_but_refuses_a_faulty_suite(tmp_path, capfd):
    path = tmp_path / "s.yaml"
    path.write_text("schema: 1\nprompts:\n  - {id: a, text: x}\n")
    assert main(["check", str(path)]) == 0
    path.write_text("schema: 1\nprompts:\n  - {id: a, text: x, max_samples: 5}\n")
    assert main(["check", str(path)]) == 2
    assert f"{path}:3:" in capfd.readouterr().err


def test_formats_of_the_command_line_are_cells_of_the_plan(suite_file, capfd):
    assert main(["check", str(suite_file), "--formats", "raw", "--formats", "chat", "--only", "coin"]) == 0
    out = capfd.readouterr().out
    assert [line.split()[0] for line in out.splitlines()[1:3]] == ["coin[format=raw]@t1.0", "coin[format=chat]@t1.0"]


def test_a_continuation_that_another_one_covers_is_a_warning_and_no_fault(suite_file, capfd):
    suite_file.write_text(suite_file.read_text() + '    continuations: [" Paris", " Paris, of course."]\n')
    assert main(["check", str(suite_file)]) == 0
    line = suite_file.read_text().splitlines().index('    continuations: [" Paris", " Paris, of course."]') + 1
    said = f"warning: {suite_file}:{line}:31: the continuation `Paris, of course.` begins with `Paris`"
    assert capfd.readouterr().err.startswith(said)


def test_a_suite_that_is_neither_a_file_nor_built_in_is_told_what_is(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert main(["check", "quickstrt"]) == 2
    assert "quickstrt: cannot be read: No such file or directory (did you mean `quickstart`?)" in capfd.readouterr().err


# ------------------------------------------------------------------------------------------------------------- report


def test_report_judges_again_without_sampling(run, capfd):
    before = (run / "samples.parquet").read_bytes()
    for name in ("cells.parquet", "modes.parquet", "summary.json"):
        (run / name).unlink()
    assert main(["report", "latest"]) == 0
    assert "1 of 3 cells flagged" in capfd.readouterr().out
    assert (run / "samples.parquet").read_bytes() == before
    assert len(pd.read_parquet(run / "cells.parquet")) == 3


def _line_of(cell, out):
    (line,) = [line for line in out.splitlines() if line.split()[2:3] == [cell]]
    return line


def test_report_takes_other_thresholds_for_this_judgement_only(run):
    assert main(["report", "a", "--rules", "alpha=1e-9", "--rules", "fdr=1"]) == 0
    before = pd.read_parquet(run / "cells.parquet").set_index("cell_id")
    summary = json.loads((run / "summary.json").read_text("utf-8"))
    assert summary["rules"] == {"small": {"collapsed": 0.5, "diverse": 0.1, "alpha": 1e-9, "fdr": 1.0}}
    assert main(["report", "a"]) == 0
    after = pd.read_parquet(run / "cells.parquet").set_index("cell_id")
    assert (after["valid_rate_low"] > before["valid_rate_low"]).all()


def test_report_takes_another_equivalence_for_this_judgement_only(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text('schema: 1\nprompts: [{id: a, text: "x"}]\n')
    answers = {f"There is no single answer to this question, friend {k}.": 1 for k in range(50)}
    (tmp_path / "answers.yaml").write_text(yaml.safe_dump({"prompts": {"a": answers}}))
    assert main(["probe", "s.yaml", "--engine", "scripted", "-m", "answers.yaml", "--seed", "1"]) == 0
    assert "✗ collapsed" in _line_of("a", capfd.readouterr().out)
    assert main(["report", "latest", "--equivalence", "exact"]) == 0
    assert "not_collapsed" in _line_of("a", capfd.readouterr().out)


@pytest.mark.parametrize("rule", ["collapsed=2", "collapsed", "nothing=0.5", "alpha=0"])
def test_a_rule_that_is_no_threshold_is_refused(run, capfd, rule):
    assert main(["report", str(run), "--rules", rule]) == 2
    assert "is no threshold" in capfd.readouterr().err


def test_somebody_elses_run_can_be_read(run, capfd, monkeypatch):
    def forbidden(*_args):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("collapsecli.runs.folder.write_whole", forbidden)
    assert main(["report", str(run)]) == 0
    assert "could not be kept beside the run: Permission denied" in " ".join(capfd.readouterr().out.split())


def test_gates_work_on_a_report_too(run):
    assert main(["report", str(run), "-q", "--fail-on", "collapsed"]) == 3
    assert main(["report", str(run), "-q", "--fail-on", "invalid"]) == 0


def test_a_run_is_found_with_the_slash_that_a_shell_completes(run, monkeypatch):
    monkeypatch.chdir(run.parent)
    assert main(["report", "a/", "-o", "."]) == 0
    monkeypatch.chdir(run.parent.parent)
    assert main(["report", "a/"]) == 0
    assert main(["report", ""]) == 2


def test_a_run_that_is_not_there_exits_2_with_the_newest_ones(run, capfd):
    assert main(["report", "2031"]) == 2
    err = capfd.readouterr().err
    assert "no run '2031'" in err
    assert "a" in err.rpartition("newest there:")[2]
    assert run.exists()


def test_summary_says_the_same_as_the_tables(run):
    summary = json.loads((run / "summary.json").read_text("utf-8"))
    cells = pd.read_parquet(run / "cells.parquet")
    assert summary["complete"] is True
    assert summary["flags"] == {"flagged": 1, "open": 0, "expected": 2}
    assert [cell["verdict"] for cell in summary["cells"]] == cells["verdict"].tolist()
    assert [cell["mode_mass_low"] for cell in summary["cells"]] == cells["mode_mass_low"].tolist()
    contrasts = pd.read_parquet(run / "contrasts.parquet")
    assert [row["metric"] for row in summary["contrasts"]] == contrasts["metric"].tolist()


# ------------------------------------------------------------------------------------------------------------- schema


def test_schema_of_the_suite_accepts_the_suite_and_refuses_a_misspelt_one(suite_file, capfd):
    assert main(["schema", "suite"]) == 0
    schema = json.loads(capfd.readouterr().out)
    suite = yaml.safe_load(suite_file.read_text())
    jsonschema.validate(suite, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**suite, "promts": []}, schema)


@pytest.mark.parametrize("name", ["samples", "cells", "modes", "contrasts"])
def test_schema_of_a_file_explains_every_column_of_it(run, capfd, name):
    assert main(["schema", name]) == 0
    columns = json.loads(capfd.readouterr().out)
    assert [column["name"] for column in columns] == pd.read_parquet(run / f"{name}.parquet").columns.tolist()
    assert all(column["meaning"] for column in columns)


# ------------------------------------------------------------------------------------------------------------- screens


@pytest.mark.parametrize("columns", ["80", "120"])
def test_a_report_is_as_wide_as_columns_says(run, capfd, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    assert main(["report", str(run)]) == 0
    out = capfd.readouterr().out
    assert ("exact" in out.splitlines()[3]) == (columns == "120")
    assert max(map(len, out.splitlines())) <= int(columns)


def test_a_stdout_that_knows_no_unicode_gets_the_report_in_ascii(run):
    done = subprocess.run(
        [sys.executable, "-m", "collapsecli", "report", str(run)],
        capture_output=True, check=False, env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert b"x collapsed" in done.stdout


def test_no_color_where_it_is_not_wanted(run, capfd, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    main(["report", str(run)])
    assert "\x1b" not in capfd.readouterr().out


# ------------------------------------------------------------------------------------------------------------- errors


def test_an_unexpected_error_is_one_line_and_exit_1(run, capfd, monkeypatch):
    def broken(*_args):
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr("collapsecli.cli.reporting.conclude", broken)
    assert main(["report", str(run)]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("error: ZeroDivisionError: by nought")
    assert "ZeroDivisionError" in (run / "log.txt").read_text()


def test_a_command_line_without_a_command_shows_the_help(capfd):
    assert main([]) == 2
    assert "Usage: collapse" in "".join(capfd.readouterr())


def test_probabilities_that_cannot_be_true_are_an_error_after_the_whole_report(run, capfd):
    """Distinct texts that each claim .9: the run is shown, said to be broken, and no gate can pass it."""
    path = run / "samples.parquet"
    table = pq.read_table(path)
    at = table.schema.get_field_index("logprob")
    claimed = table.set_column(at, table.schema.field(at), pa.array([-0.1] * table.num_rows, pa.float64()))
    pq.write_table(claimed, path, write_page_checksum=True)
    assert main(["report", "a", "--fail-on", "unexpected"]) == 1
    out, err = capfd.readouterr()
    assert "Error: number@t1.0" in out
    assert "are not those of the distribution sampled from" in err
    cells = pd.read_parquet(run / "cells.parquet").set_index("prompt_id")
    assert cells.loc["number", "broken"].startswith("the probabilities of the distinct sequences sum to")
    assert pd.isna(cells.loc["number", "seen_mass"])
