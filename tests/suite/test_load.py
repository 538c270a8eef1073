"""A suite is loaded whole, or every one of its faults is reported at its place."""

import hashlib
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collapsecli import records
from collapsecli.errors import SuiteError
from collapsecli.suite import Suite, load, load_all

HEAD = "schema: 1\nprompts:\n"


# -------------------------------------------------------------------------------------------------- what is kept


def test_a_suite_keeps_its_text_its_hash_and_the_hashes_of_its_prompt_files(suite_of):
    rows = '{"id": "b", "text": "y"}\n'
    text = HEAD + "- {id: a, text: x}\n- {file: rows.jsonl}\n"
    suite = suite_of(text, {"rows.jsonl": rows})
    assert suite.text == text
    assert suite.source.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert [(file.path.name, file.sha256) for file in suite.files] == [
        ("rows.jsonl", hashlib.sha256(rows.encode()).hexdigest())
    ]


def test_settings_that_are_not_given_have_the_documented_defaults(suite_of):
    suite = suite_of(HEAD + "- {id: a, text: x}", name="my suite.yaml")
    assert (suite.name, suite.models, suite.rules) == ("my-suite", (), records.Rules())
    assert (suite.settings.reasoning, suite.settings.equivalence, suite.settings.expect) == (
        "strip",
        "lexical",
        "diverse",
    )


def test_scalars_are_read_as_yaml_1_2_reads_them(suite_of):
    suite = suite_of(HEAD + "- {id: 2024-01-01, text: 1:30}\n- {id: b, text: 010, sampling: {temperature: 1e-1}}")
    assert [(one.id, one.text) for one in suite.prompts] == [("2024-01-01", "1:30"), ("b", "010")]
    assert suite.prompts[1].sampling.temperature == 0.1


def test_the_bare_word_off_is_a_word_where_no_other_text_can_stand(suite_of):
    assert suite_of("reasoning: off\n" + HEAD + "- {id: a, text: x}").settings.reasoning == "off"


def test_small_ordinary_aliases_are_read(suite_of):
    suite = suite_of(HEAD + "- {id: a, text: x, tags: &tags [p, q]}\n- {id: b, text: x, tags: *tags}")
    assert suite.prompts[1].tags == ("p", "q")


def test_the_last_newline_and_braces_without_a_name_stay_in_a_text(suite_of):
    suite = suite_of(HEAD + '- {id: a, text: "{{}} {% if %} {\\n"}')
    assert suite.prompts[0].text == "{{}} {% if %} {\n"


# ------------------------------------------------------------------------------------------------------- faults


def test_a_suite_with_seven_different_faults_reports_seven_located_lines(faults_of):
    text = """\
schema: 1
nmae: seven
sampling: {samples: 0}
prompts:
  - id: a
    text: x
    answer: {choice: [yes, "no"]}
  - id: a
    text: y
    expect: unifrom
  - id: b
    text: "Are {{ subject }} real?"
  - id: c
    text: x
    answer: {regex: "("}
"""
    assert faults_of(text) == [
        "2:1: unknown key `nmae` (did you mean `name`?)",
        "3:21: `samples`: `0` must be at least 1",
        '7:23: `yes` is a truth value to some readers of YAML; text is wanted (quote it: "yes")',
        "8:9: the prompt id `a` is taken (by suite.yaml:5)",
        (
            "10:13: `expect`: `unifrom` is not one of uniform, diverse, concentrated, none, "
            "{weights: {ANSWER: WEIGHT, …}}, {min_modes: K} (did you mean `uniform`?)"
        ),
        (
            "12:11: undeclared template variable `subject` "
            "(declare `vars: {subject: […]}`; for the braces themselves `vars: {}` and {% raw %})"
        ),
        "15:21: not a regular expression: missing ), unterminated subpattern at position 0",
    ]


WHOLE_FILES = [
    pytest.param(b"", "the file is empty", id="nothing at all"),
    pytest.param(b"# a comment\n", "the file is empty", id="a comment alone"),
    pytest.param(b"- a\n", "1:1: a suite is a mapping of keys, not a list (start with `schema: 1`)", id="a list"),
    pytest.param(b"schema: 1\na: \xff\n", "2:4: byte 0xff is not UTF-8 (save the file as UTF-8)", id="latin-1"),
    pytest.param(
        b"a: \x00",
        "1:4: the character U+0000 is not allowed in YAML (write it as an escape in double quotes)",
        id="NUL",
    ),
    pytest.param(b"schema: [1\nname: x\n", "2:5: not YAML: did not find expected ',' or ']'", id="a syntax error"),
    pytest.param(b"[" * 100, "1:65: nested deeper than 64 levels", id="nested too deeply"),
    pytest.param(
        b"a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
        b"d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n",
        "5:4: more than 100000 values, aliases written out (keep large sets of prompts in a `file`)",
        id="an alias bomb",
    ),
    pytest.param(
        b"x" * (4 * 2**20 + 1),
        "the file is larger than 4 MiB (keep large sets of prompts in a `file`)",
        id="a file over the limit",
    ),
]


@pytest.mark.parametrize(("content", "fault"), WHOLE_FILES)
def test_what_cannot_be_read_at_all_is_one_fault(content, fault, faults_of):
    assert faults_of(content) == [fault]


def test_a_file_that_is_not_there_is_a_fault(tmp_path):
    with pytest.raises(SuiteError) as raised:
        load(tmp_path / "none.yaml")
    assert [str(fault) for fault in raised.value.faults] == [
        f"{tmp_path}/none.yaml: cannot be read: No such file or directory"
    ]


YAML_FAULTS = [
    pytest.param("tags: §!!python/name:os.system [b]", "the tag `tag:yaml.org,2002:python/name:os.system`", id="a tag"),
    pytest.param("tags: §*b", "the alias `*b` has no anchor", id="an alias of nothing"),
    pytest.param("tags: &b [§*b]", "the alias `*b` stands inside its own anchor", id="an endless alias"),
    pytest.param("§<<: {tags: [b]}", "merge keys (`<<`) are not read", id="a merge key"),
    pytest.param("tags: [b], §tags: [c]", "the key `tags` stands here a second time", id="a key twice"),
    pytest.param("§expect: ", "`expect` has no value", id="a key without a value"),
    pytest.param("tags: [§~]", "an item has no value", id="null in a list"),
    pytest.param("answer: {words: §1" + "0" * 30 + "}", "a number of 31 digits is too large", id="a giant integer"),
    pytest.param(
        "vars: §{{ subject }}",
        "a key is plain text, not a list, a mapping or an alias (a template",
        id="bare braces",
    ),
]

KEY_FAULTS = [
    pytest.param("§answr: text", "unknown key `answr` (did you mean `answer`?)", id="a misspelt key"),
    pytest.param("answer: §intger", "`answer`: `intger` is not one of text, rhyme, {integer:", id="a misspelt answer"),
    pytest.param("answer: §{intger: [1, 2]}", "`answer`: `{intger: …}` is not one of", id="a misspelt form"),
    pytest.param(
        "answer: §integer", "`answer`: `integer` needs its value (write {integer: [LOW, HIGH]})", id="a bare form"
    ),
    pytest.param("answer: §{words: 1, json: a}", "`answer`: a mapping is not one of", id="two forms"),
    pytest.param("answer: {integer: §[3, 1]}", "the low end 3 is above the high end 1", id="a range upside down"),
    pytest.param("answer: {integer: §[1, 2, 3]}", "`integer`: at most 2 values are wanted", id="three bounds"),
    pytest.param("answer: {integer: [1, §2.5]}", "`integer`: a whole number is wanted, not `2.5`", id="half a number"),
    pytest.param("answer: {choice: §[a, A]}", "`A` stands in the list twice", id="one choice in two cases"),
    pytest.param(
        "answer: {choice: [§1, b]}", '`choice`: text is wanted, not `1` (quote it: "1")', id="a number as text"
    ),
    pytest.param(
        "answer: {labels: §{other: x}}", "`other` is the label of what no pattern finds", id="the label other"
    ),
    pytest.param("answer: {labels: {§no: x}}", "`no` is a truth value to some readers", id="a bare word as a key"),
    pytest.param("answer: {json: §a..b}", "`a..b` is not a path", id="a path with a hole"),
    pytest.param('answer: {regex: §"[[a]"}', "not a regular expression: Possible nested set", id="a doubtful pattern"),
    pytest.param("expect: §uniform", "`uniform` needs answers that can be counted", id="uniform over texts"),
    pytest.param("expect: {min_modes: §1}", "`min_modes`: `1` must be at least 2", id="one mode is no variety"),
    pytest.param("answer: {words: 1}, expect: {weights: §{a: 0}}", "the weights must have a positive", id="weightless"),
    pytest.param(
        "answer: {integer: [1, 2]}, expect: §{weights: {3: 1}}", "`3` is no answer of", id="outside the range"
    ),
    pytest.param(
        "answer: {choice: [a, b]}, expect: §{weights: {c: 1}}",
        "`c` is not one of the choices (a, b)",
        id="no choice",
    ),
    pytest.param(
        "answer: {integer: [0, 99999]}, expect: §uniform", "`uniform` reaches over at most 10000", id="too wide"
    ),
    pytest.param("temperatures: §[1, 1.0]", "`1.0` stands in the list twice", id="a temperature twice"),
    pytest.param("temperatures: [§0.001]", "a temperature is 0 or at least 0.01", id="colder than engines go"),
    pytest.param(
        "temperatures: [1], sampling: {temperature: §1}", "both `temperatures` and `temperature`", id="two orders"
    ),
    pytest.param("vars: {y: §[a]}", "the variable `y` is not used in the prompt", id="an unused variable"),
    pytest.param("vars: {§1y: [a]}", "`1y` is not a variable's name", id="no name for a variable"),
    pytest.param("vars: {y: §[]}", "`y`: it is empty", id="a variable without values"),
    pytest.param(
        "inject: [{id: i, text: a}, {id: §i, text: b}]", "two injections have the id `i`", id="two injections"
    ),
    pytest.param(
        "inject: [{id: i, text: §'{{ y }}'}]", "undeclared template variable `y`", id="a variable in an injection"
    ),
    pytest.param(
        "messages: §[{role: user, content: b}]", "the prompt has both `text` and `messages`", id="asked twice"
    ),
    pytest.param("reasoning: §no", "`reasoning`: `no` is not one of strip, keep, off", id="a word of a few"),
    pytest.param("sampling: {max_samples: §9}", "`max_samples`: `9` must be at least 16", id="a low cap"),
    pytest.param("equivalence: {lexical: §1.5}", "`lexical`", id="a threshold above one"),
    pytest.param("sampling: {top_p: §.inf}", "`top_p`: a number is wanted, not `.inf`", id="infinity"),
    pytest.param("sampling: {top_p: §1e999}", "`top_p`: a finite number is wanted", id="infinity in disguise"),
]

EQUIVALENCE_FAULTS = [
    pytest.param("equivalence: §given", "`given` is for imported completions", id="imported classes"),
    pytest.param("equivalence: §embedding", "`embedding` needs its encoder (write {embedding: MODEL,", id="no encoder"),
    pytest.param(
        "equivalence: {embedding: m, threshold: §1}", "`threshold`: `1` must be below 1", id="a threshold of one"
    ),
    pytest.param("equivalence: {embedding: m, threshold: §0}", "`threshold`: `0` must be above 0", id="and of none"),
    pytest.param("equivalence: {embedding: m, §treshold: 0.8}", "unknown key `treshold`", id="a key misspelt"),
    pytest.param(
        "equivalence: {embedding: m}, sampling: {max_samples: §64}",
        "looks are taken while sampling, and the encoder runs after it",
        id="looks before the encoder runs",
    ),
    pytest.param(
        "equivalence: {embedding: m}, inject: [{id: i, at: §{sentences: 1}}]",
        "a branch point is looked for while sampling, and the encoder runs after it",
        id="a branch before the encoder runs",
    ),
]


# `§` stands where the fault is.
@pytest.mark.parametrize(("keys", "fault"), YAML_FAULTS + KEY_FAULTS + EQUIVALENCE_FAULTS)
def test_one_fault_is_one_line_at_its_place(keys, fault, faults_of):
    head, line = HEAD, "- {id: a, text: x, " + keys + "}"
    found = faults_of(head + line.replace("§", ""))
    assert len(found) == 1
    assert found[0].startswith(f"3:{line.index('§') + 1}: {fault}")


CHATS = [
    pytest.param(
        "[{role: assistant, content: x}]", "3:31: the last message is the model's own: nothing is asked", id="no turn"
    ),
    pytest.param(
        "[{role: robot, content: x}]", "3:31: `role`: `robot` is not one of system, user, assistant", id="a role"
    ),
    pytest.param("[]", "3:23: `messages`: it is empty", id="no message"),
    pytest.param(
        "[{role: user, content: x}], formats: [raw]",
        "3:60: `formats` puts a `text` into a form; these `messages` have theirs",
        id="a format",
    ),
]


@pytest.mark.parametrize(("messages", "fault"), CHATS)
def test_a_chat_has_its_own_faults(messages, fault, faults_of):
    assert faults_of(f"{HEAD}- {{id: abc, messages: {messages}}}") == [fault]


TEMPLATES = [
    pytest.param("{{ y }", "not a template: unexpected '}' (line 1 of the text)", id="a syntax error"),
    pytest.param("{{ z }}", "undeclared template variable `z` (declared: `y`)", id="an undeclared variable"),
    pytest.param(
        "{{ y.__class__ }}",
        "a template of a suite names variables and chooses by them; this one looks inside a value",
        id="a look inside",
    ),
    pytest.param(
        "{% for i in y %}{% endfor %}",
        "a template of a suite names variables and chooses by them; this one loops",
        id="a loop",
    ),
    pytest.param(
        "{{ 9 ** 9 }}", "a template of a suite names variables and chooses by them; this one calculates", id="a sum"
    ),
    pytest.param(
        "{{ y | tojson }}", "the filter `tojson` is not one of capitalize, lower, title, trim, upper", id="a filter"
    ),
    pytest.param("{{ 'a' if y }}", "an `if` inside {{ }} needs its `else`", id="half a choice"),
    pytest.param(
        "{{ y if y > 1 else y }}", "variables are compared by == and != alone", id="a comparison that may fail"
    ),
]


@pytest.mark.parametrize(("template", "fault"), TEMPLATES)
def test_a_template_that_might_fail_later_is_a_fault_now(template, fault, faults_of):
    assert faults_of(f'{HEAD}- {{id: abc, text: "{template}", vars: {{y: [a]}}}}') == [f"3:19: {fault}"]


def test_the_suites_own_expect_must_fit_every_prompt_without_one(faults_of):
    text = f"expect: uniform\n{HEAD}- {{id: a, text: x, answer: {{choice: [a, b]}}}}\n- {{id: b, text: x}}\n"
    assert faults_of(text) == [
        (
            "1:9: `uniform` needs answers that can be counted: the suite's `expect` does not fit the prompt `b` "
            "(give an `answer` of {integer: …}, {choice: …} or {labels: …})"
        )
    ]


def test_a_suite_of_too_many_cells_is_a_fault(faults_of):
    values = "[" + ",".join(f"v{i}" for i in range(100)) + "]"
    text = f'{HEAD}- {{id: a, text: "{{{{ x }}}}{{{{ y }}}}{{{{ z }}}}", vars: {{x: &v {values}, y: *v, z: *v}}}}'
    assert [line.partition(" (")[0] for line in faults_of(text)] == [
        "3:1: the suite plans 1000000 cells; at most 100000"
    ]


# ------------------------------------------------------------------------------------------------ files of prompts


def parquet(columns):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


FILES = [
    pytest.param("p.jsonl", b'{"id": "a", "text": "one"}\n\n{"id": 2, "text": "two {{ x }}"}\n', id="jsonl"),
    pytest.param("p.csv", b"id,text,more\r\na,one,1\r\n2,two {{ x }}\r\n", id="csv"),
    pytest.param(
        "p.parquet", parquet({"id": ["a", "2"], "text": ["one", "two {{ x }}"], "more": [1, 2]}), id="parquet"
    ),
]


@pytest.mark.parametrize(("name", "content"), FILES)
def test_each_row_of_a_file_is_a_prompt_with_the_entrys_other_keys(name, content, suite_of):
    suite = suite_of(f"{HEAD}- {{file: {name}, tags: [t]}}", {name: content})
    assert [(one.id, one.text, one.tags) for one in suite.prompts] == [
        ("a", "one", ("t",)),
        ("2", "two {{ x }}", ("t",)),
    ]


def test_the_rows_of_a_file_are_templates_where_the_entry_has_variables(suite_of, faults_of):
    text = HEAD + "- {file: p.csv, vars: {x: [a, b]}}"
    assert suite_of(text, {"p.csv": "id,text\np,{{ x }}"}).prompts[0].vars == {"x": ("a", "b")}
    assert faults_of(text, {"p.csv": "id,text\np,plain"}) == ["p.csv:2:1: the variable `x` is not used in the prompt"]


def test_faults_in_rows_have_the_file_and_the_line(faults_of):
    rows = {
        "p.jsonl": '{"id": "a", "text": "x"}\n{"id": "b"}\n{"id": "a", "text": "y"}\nnonsense\n[1]\n'
        '{"id": "c", "text": ""}\n{"id": "d", "text": 5}\n{"id": "e", "text": "\\ud800"}\n',
        "q.csv": 'id,text\nq,"over\ntwo lines"\n,empty id\nz,a,b\n',
    }
    assert faults_of(HEAD + "- {file: p.jsonl}\n- {file: q.csv}\n", rows) == [
        "p.jsonl:2:1: the row has no `text` (it has: id)",
        "p.jsonl:3:1: the prompt id `a` is taken (by p.jsonl:1)",
        "p.jsonl:4:1: not JSON: Expecting value: line 1 column 1 (char 0)",
        "p.jsonl:5:1: a row is a JSON object",
        "p.jsonl:6:1: `text`: it is empty",
        'p.jsonl:7:1: `text`: text is wanted, not `5` (quote it: "5")',
        "p.jsonl:8:1: `text`: text that UTF-8 can hold is wanted, not `\\ud800`",
        (
            "q.csv:4:1: `` is not a readable id "
            "(letters, digits, `.`, `_`, `-`, at most 64 of them, a letter or digit first)"
        ),
        "q.csv:5:1: 3 cells under 2 column names",
    ]


BAD_FILES = [
    pytest.param(
        "none.csv", None, "3:10: there is no file `none.csv` (the path is relative to the suite's)", id="missing"
    ),
    pytest.param(
        "p.txt", b"x", "3:10: `p.txt` is no file of prompts (known: .jsonl, .ndjson, .csv, .parquet)", id="unknown"
    ),
    pytest.param("p.csv", b"id,text\n", "p.csv: the file has no rows", id="no rows"),
    pytest.param("p.csv", b"id,text\n\xff,x\n", "p.csv:2:1: byte 0xff is not UTF-8", id="not text"),
    pytest.param("p.csv", b'id,text\na,"x\n', "p.csv:2:1: not CSV: unexpected end of data", id="an open quote"),
    pytest.param("p.parquet", b"x", "p.parquet: not parquet:", id="not parquet"),
]


@pytest.mark.parametrize(("name", "content", "fault"), BAD_FILES)
def test_a_file_of_prompts_that_cannot_be_read_is_one_fault(name, content, fault, faults_of):
    found = faults_of(f"{HEAD}- {{file: {name}}}", {} if content is None else {name: content})
    assert len(found) == 1
    assert found[0].startswith(fault)


# ------------------------------------------------------------------------------------------------- several suites


def test_several_suites_report_the_faults_of_all_of_them_at_once(tmp_path):
    for name, body in {"b": "- {id: x, text: 1}", "a": "- {id: x, txt: y, text: z}", "c": "- {id: x, text: y}"}.items():
        (tmp_path / f"{name}.yaml").write_text(f"name: same\n{HEAD}{body}")
    with pytest.raises(SuiteError) as raised:
        load_all([tmp_path / "a.yaml", tmp_path / "b.yaml", tmp_path / "c.yaml"])
    assert [str(fault).replace(f"{tmp_path}/", "") for fault in raised.value.faults] == [
        "a.yaml:4:11: unknown key `txt` (did you mean `text`?)",
        "b.yaml:1:7: the suite name `same` is taken (by a.yaml:1)",
        "b.yaml:4:8: the prompt id `x` is taken (by a.yaml:4)",
        'b.yaml:4:17: `text`: text is wanted, not `1` (quote it: "1")',
        "c.yaml:1:7: the suite name `same` is taken (by a.yaml:1)",
        "c.yaml:4:8: the prompt id `x` is taken (by a.yaml:4)",
    ]


# ---------------------------------------------------------------------------------------------------------- laws

# fmt: off
FRAGMENTS = st.sampled_from([
    "schema: 1\n", "prompts:\n", "- ", "  ", "id: a\n", "text: x\n", "messages: ", "answer: ", "{integer: [1, 2]}",
    "expect: ", "uniform\n", "file: .csv\n", "vars: {x: [a]}\n", "{{ x }}", "{", "}", "[", "]", "&a ", "*a", "<<: ",
    "!t ", "? ", ": ", ", ", "~", "no", '"', "'", ">-\n", "#", "---\n", "...\n", "%YAML 1.1\n", "\t", "\r\n", "\x85",
    "1e999", "99999999999999999999",
])
# fmt: on
TEXTS = st.lists(FRAGMENTS, max_size=30).map(lambda parts: "".join(parts).encode())


@given(content=st.one_of(st.binary(max_size=200), TEXTS))
@example(content=b"prompts: " + b"[" * 50_000)
@example(content=b"- &a [*a]\n" * 20_000)
@example(content=b'schema: 1\nprompts: [{id: a, vars: {x: [b]}, text: "' + b"{{ x|" * 50_000 + b'"}]')
@example(content=b'schema: 1\nprompts: [{id: a, text: x, answer: {regex: "' + b"(" * 50_000 + b'"}}]')
@settings(deadline=None)
def test_any_bytes_are_a_suite_or_a_suite_error_and_soon(content, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    start = time.monotonic()
    faults = None
    try:
        suite = load(path)
    except SuiteError as error:
        faults = error.faults
    assert faults or isinstance(suite, Suite)
    assert list(faults or ()) == sorted(faults or (), key=lambda fault: (fault.file, fault.line, fault.column))
    assert time.monotonic() - start < 10  # generous: shared machines


def test_importing_the_suite_loads_no_table_library_and_no_template_engine():
    program = (
        "import sys, collapsecli.suite; print(*{'pandas', 'pyarrow', 'numpy', 'jinja2', 'torch'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "\n"
