"""Texts that begin anew: a table of markers, what is none, the patterns of a suite, and time."""

import re
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from makers import make_cell, make_completion

from collapsecli.contrasts.drawn import Drawn
from collapsecli.contrasts.restart import DEFAULT_PATTERNS, MOST_CHARACTERS, goes_on, marker_in, markers_of, restarts
from collapsecli.judge import judge_cell
from collapsecli.metrics.shares import difference, p_equal, share
from collapsecli.records import Message, Rules

PLAIN, INJECTED = "toast@t1.0", "toast/murderer@t1.0"
STORY = "The best man raised his glass. “To the bride and groom!”"
ANEW, ON = " He sat down. The End.\n\nThe garden was full of light.", " He sat down, and the garden was full of light."
AN_ANSWER = (
    "It is a long answer that says so many things about gardens and kings that twenty words are soon said, isn't it. "
)


def cell_of(cell_id=PLAIN, **changes):
    return make_cell(cell_id, **{"text": STORY, **changes})


def drawn(texts, cell_id=PLAIN, lost=0, **changes):
    cell = cell_of(cell_id, samples=len(texts) + lost, **changes)
    completions = [make_completion(cell_id, place, text) for place, text in enumerate(texts)]
    return Drawn.of(judge_cell(cell, completions, Rules()), completions, 0.05)


# ------------------------------------------------------------------------------------------------------ known answers


@pytest.mark.parametrize(
    ("text", "marker"),
    [
        pytest.param(" They wept.\n\n***\n\nIt was spring.", "***", id="a section break"),
        pytest.param(" They wept.\n  * * *  \nIt was spring.", "* * *", id="one with spaces"),
        pytest.param("\n---\nIt was spring.", "---", id="one that comes at once"),
        pytest.param(" They wept.\n\u2042\nIt was spring.", "\u2042", id="three stars in one character"),
        pytest.param(" They wept.\n=====\nIt was spring.", "=====", id="a line"),
        pytest.param(" They wept.\r\n\r\n###\r\n\r\nIt was spring.", "###", id="with the line ends of Windows"),
        pytest.param(" They wept.\n**\nIt was spring.", None, id="two stars are no break"),
        pytest.param(" He was tall -- --- -- and she was not.", None, id="dashes in a line are none"),
        pytest.param(" a table\n|---|---|\n| b |", None, id="the rule of a table is none"),
        pytest.param(" They wept.\n\n***\n", None, id="a break with nothing after it"),
        pytest.param(" They wept.\n\n***\n\n2024\n", None, id="a number is no text"),
        pytest.param(" They wept. The End.\n\nIt was spring.", "The End", id="the end, after a sentence"),
        pytest.param(" They wept.\n\nTHE END\n\nIt was spring.", "THE END", id="the end in capitals"),
        pytest.param(" They wept.\n\n~ The End ~\n\nIt was spring.", "The End", id="the end in ornaments"),
        pytest.param(" They wept.\n\n**The end**\n\nIt was spring.", "The end", id="the end in bold"),
        pytest.param(" They wept.\n- The End -\nIt was spring.", "The End", id="the end between dashes"),
        pytest.param(" They wept. The End. It was spring.", "The End", id="the end, and on in the same line"),
        pytest.param(" They wept. The End.", None, id="the end, and nothing more"),
        pytest.param(" They wept.\nThe End\nThe End\nTHE END\n", None, id="the end again and again"),
        pytest.param(" They wept. The End.<|endoftext|>", None, id="the end, and an end-of-text mark"),
        pytest.param(" They wept. The end was near.", None, id="an end that was near"),
        pytest.param(" They read The End of the Affair.\nAll of it.", None, id="a book"),
        pytest.param(" In the end. It was spring.", None, id="in the end"),
        pytest.param(" He wrote “The End” on the page and smiled.", None, id="the end as a quotation"),
        pytest.param(" They wept.<|endoftext|>It was spring.", "<|endoftext|>", id="an end-of-text mark, printed"),
        pytest.param("</s> It was spring.", "</s>", id="another, at once"),
        pytest.param(" They wept.<|im_end|>\n<|im_start|>", None, id="marks are no text"),
        pytest.param(" They wept.<|im_end|>\n<|im_start|>user\nHello", "<|im_end|>", id="a role is"),
        pytest.param(" They wept.\n\n# The Garden\n\nIt was spring.", "# The Garden", id="a heading"),
        pytest.param("\n## The Garden\nIt was spring.", "## The Garden", id="a heading that comes at once"),
        pytest.param(" They wept.\n#spring #garden\nlove", None, id="hash tags are no heading"),
        pytest.param(" They wept.\n\n# The Garden\n", None, id="a heading of nothing"),
        pytest.param(" They wept.\n\n**The Garden**\nIt was spring.", "**The Garden**", id="a line in bold"),
        pytest.param(" They wept in a **big** garden\n**all** of them.", None, id="words in bold"),
        pytest.param(" They wept.\n\nChapter 2\n\nIt was spring.", "Chapter 2", id="a chapter"),
        pytest.param(
            " They wept.\nCHAPTER IV: Spring\nIt was spring.", "CHAPTER IV: Spring", id="a chapter in capitals"
        ),
        pytest.param(" They wept.\nChapter Two\nIt was spring.", "Chapter Two", id="a chapter in words"),
        pytest.param(" They wept.\nChapter two of his life was over.", None, id="a sentence about a chapter"),
        pytest.param(" They wept.\n\nTitle: The Garden\nIt was spring.", "Title: The Garden", id="a title"),
        pytest.param(" They wept.\n**Title:** The Garden\nSpring.", "**Title:** The Garden", id="a title in bold"),
        pytest.param(" They wept. Once upon a time there was a king.", "Once upon a time", id="a fairy tale"),
        pytest.param(
            "\n\nOnce upon a time there was a king.", "Once upon a time", id="a fairy tale that comes at once"
        ),
        pytest.param(" They wept.\n\n*Once upon a time,* a king.", "Once upon a time", id="a fairy tale in italics"),
        pytest.param(" They wept.  There once was a king.", "There once was", id="there once was"),
        pytest.param(" They wept.\nOnce there lived a king.", "Once there lived", id="once there lived"),
        pytest.param(" It had happened once upon a time.", None, id="once upon a time in a sentence"),
        pytest.param(" They wept.\n\nLong, long ago, a king lived.", "Long, long ago", id="a paragraph of long ago"),
        pytest.param(" They wept. Long ago they had met.", None, id="a memory is no new story"),
        pytest.param(" They wept.\n***\n# The Garden\nOnce upon a time, a king.", "***", id="the first of several"),
        pytest.param(" They wept. Then it was spring.", None, id="a story that goes on"),
        pytest.param("", None, id="nothing at all"),
    ],
)
def test_a_text_that_the_prompt_began(text, marker):
    assert marker_in(text, continued=True) == marker


@pytest.mark.parametrize(
    ("text", "marker"),
    [
        pytest.param("# The Garden\n\nIt was spring.", None, id="a story may have a title"),
        pytest.param("Once upon a time there was a king.", None, id="and begin like one"),
        pytest.param("Sure! Here is a story.\n\n**The Garden**\n\nOnce upon a time", None, id="after a preamble"),
        pytest.param("***\nIt was spring.", None, id="and with an ornament"),
        pytest.param(AN_ANSWER + "\n\n***\n\nIt was spring.", "***", id="a break after twenty words is one"),
        pytest.param(AN_ANSWER + "Once upon a time there was a king.", "Once upon a time", id="so is a fairy tale"),
        pytest.param("42.\nThe End.\n\nIt was spring.", "The End", id="what is over is over after one word"),
        pytest.param("<|endoftext|>It was spring.", "<|endoftext|>", id="or after none"),
    ],
)
def test_a_text_of_its_own(text, marker):
    assert marker_in(text, continued=False) == marker


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, True, id="a story"),
        pytest.param({"text": "Q: Tell me a story.\nA:"}, False, id="a question and answer"),
        pytest.param({"text": "Are bugs real?"}, False, id="a question"),
        pytest.param({"text": "You are a poet. Write a story about a garden."}, False, id="a request"),
        pytest.param({"text": "please continue this story"}, False, id="a polite one"),
        pytest.param({"text": "They could not write about it."}, True, id="a story in which somebody writes"),
        pytest.param({"text": None, "messages": (Message("user", "A story."),)}, False, id="a chat"),
        pytest.param(
            {"text": None, "messages": (Message("user", "A story."),), "injected": "It was"}, True, id="a chat begun"
        ),
        pytest.param({"text": "Are bugs real?", "injected": " No, they"}, True, id="an answer that was begun"),
        pytest.param({"injected": " Sure! Here is another:\n"}, False, id="an injection that announces a text"),
        pytest.param({"text": ""}, False, id="a prompt that is not known"),
    ],
)
def test_whether_a_completion_goes_on_with_a_text(changes, expected):
    assert goes_on(cell_of(**changes)) == expected


@given(st.text(alphabet="aT e.\n*#-“”", max_size=60))
def test_what_was_found_stands_in_the_text_and_has_text_after_it(text):
    marker = marker_in(text, continued=True)
    if marker is not None:
        assert marker
        assert any(letter.isalpha() for letter in text.partition(marker)[2])


@given(st.text(max_size=200))
def test_a_text_of_its_own_begins_anew_only_if_it_would_also_do_so_in_a_story(text):
    assert marker_in(text, continued=False) is None or marker_in(text, continued=True) is not None


# ------------------------------------------------------------------------------------------------- patterns of a suite


def test_patterns_of_a_suite_replace_the_usual_ones():
    cell = cell_of(restarts=(r"(?i)scene \d+", "CUT"))
    found = markers_of(cell)
    assert marker_in(" They wept. Scene 2. Spring.", found, continued=True) == "Scene 2"
    assert marker_in(" They wept. The End. Spring.", found, continued=True) is None
    assert markers_of(cell_of()) == DEFAULT_PATTERNS


def test_patterns_of_a_suite_count_anywhere_but_at_the_end():
    found = markers_of(cell_of(restarts=("CUT",)))
    assert marker_in("CUT to spring.", found, continued=False) == "CUT"
    assert marker_in("Spring. CUT. CUT.", found, continued=False) is None


def test_of_a_suite_that_looks_for_nothing_there_are_no_rows():
    assert not list(restarts(drawn([ANEW] * 4, restarts=()), [drawn([ANEW] * 4, INJECTED, restarts=())]))


# ---------------------------------------------------------------------------------------------------------------- rows


def test_shares_of_both_cells_and_their_difference():
    plain = drawn([ON] * 15 + [ANEW])
    injected = drawn([ANEW] * 12 + [" He fell.\n\n***\n\nIt was spring."] * 2 + [ON] * 2, INJECTED)
    rows = list(restarts(plain, [injected]))
    assert [(row.metric, row.subject, row.cell_id, row.other_cell_id, row.n, row.label) for row in rows] == [
        ("restarts", PLAIN, PLAIN, None, 16, "The End"),
        ("restarts", INJECTED, INJECTED, None, 16, "The End"),
        ("restart_difference", INJECTED, INJECTED, PLAIN, 32, ""),
    ]
    assert {(row.kind, row.suite) for row in rows} == {("restart", "suite")}
    before, after = share(1, 16, 0.05), share(14, 16, 0.05)
    assert [row.estimate for row in rows] == [before, after, difference(after, before)]
    assert [row.p_value for row in rows] == [None, None, p_equal(14, 16, 1, 16)]


def test_without_an_injection_there_is_the_share_alone():
    assert [row.metric for row in restarts(drawn([ANEW] * 4), [])] == ["restarts"]


def test_every_injection_is_held_against_the_plain_cell():
    rows = list(restarts(drawn([ON] * 4), [drawn([ON] * 4, "toast/a@t1.0"), drawn([ANEW] * 4, "toast/b@t1.0")]))
    apart = {row.subject: row.estimate.value for row in rows if row.metric == "restart_difference"}
    assert apart == {"toast/a@t1.0": 0, "toast/b@t1.0": 1}


def test_the_label_is_one_line_of_at_most_forty_characters():
    title = " They wept.\n\n#  The   Garden\tof " + "very " * 20 + "Much\n\nIt was spring."
    row = next(restarts(drawn([title] * 3), []))
    assert row.label == "# The Garden of very very very very very"


def test_what_never_begins_anew_has_a_share_of_zero_and_no_label():
    row = next(restarts(drawn([ON] * 64), []))
    assert (row.estimate, row.label) == (share(0, 64, 0.05), "")


def test_lost_draws_might_all_have_begun_anew_or_none():
    plain, injected = drawn([ON] * 28, lost=4), drawn([ANEW] * 30, INJECTED, lost=2)
    rows = list(restarts(plain, [injected]))
    assert [row.estimate for row in rows[:2]] == [share(0, 28, 0.05, 4), share(30, 30, 0.05, 2)]
    assert rows[2].p_value == p_equal(30, 32, 4, 32)


def test_a_thought_that_never_ended_has_no_text_yet():
    cell = cell_of(samples=4)
    thought = make_completion(PLAIN, 3, "", reasoning="Hmm", finish_reason="length")
    completions = [make_completion(PLAIN, place, ANEW) for place in range(3)] + [thought]
    row = next(restarts(Drawn.of(judge_cell(cell, completions, Rules()), completions, 0.05), []))
    assert (row.estimate, row.n) == (share(3, 3, 0.05, 1), 3)


def test_of_a_cell_of_which_nothing_came_back_there_are_no_rows():
    assert not list(restarts(drawn([], lost=4), []))
    rows = list(restarts(drawn([], lost=4), [drawn([ANEW] * 4, INJECTED)]))
    assert [row.metric for row in rows] == ["restarts"]


def test_a_p_value_pays_for_the_looks_of_both_cells():
    plain, injected = drawn([ON] * 32), drawn([ANEW] * 10 + [ON] * 22, INJECTED)
    adaptive = [
        replace(one, result=replace(one.result, cell=cell_of(one.cell.cell_id, samples=64, adaptive=True)))
        for one in (plain, injected)
    ]
    fixed = list(restarts(plain, [injected]))[2].p_value
    assert list(restarts(adaptive[0], [adaptive[1]]))[2].p_value == pytest.approx(9 * fixed)  # at 16, 32 and 64 each


# ---------------------------------------------------------------------------------------------------------------- time

MEGABYTE = 1 << 20
ADVERSARIES = {
    "bullets": "\n*",
    "the end": "The End ",
    "stars": "* ",
    "blanks": " ",
    "blank lines": "\n \t",
    "headings": "\n# ",
    "bold": "**",
    "bold lines": "\n**a",
    "chapters": "\nChapter ",
    "chapter numbers": "\nChapter IVXL",
    "titles": "\nTitle: ",
    "fairy tales": "Once upon a ",
    "long": "\nLong, long",
    "marks": "<|endoftext",
    "quotes": ". \"'“",
    "sentence ends": ".  .",
}


@pytest.mark.parametrize("unit", ADVERSARIES.values(), ids=ADVERSARIES)
@pytest.mark.parametrize("end", ["", "x"])
def test_the_usual_patterns_take_time_in_proportion_to_the_text(unit, end):
    """On a megabyte, which they never see, they take half a second together; a step a pair of characters, days."""
    text = (unit * (MEGABYTE // len(unit)) + end)[:MEGABYTE]
    began = time.process_time()
    for one in DEFAULT_PATTERNS:
        assert all(match.end() > match.start() for match in one.pattern.finditer(text))
    assert time.process_time() - began < 5


@pytest.mark.parametrize("unit", ADVERSARIES.values(), ids=ADVERSARIES)
def test_a_megabyte_of_text_is_searched_in_no_time(unit):
    text = unit * (MEGABYTE // len(unit))
    seconds = []
    for _ in range(3):  # the best of three: another process on the core makes ours slower, and never faster
        began = time.process_time()
        for continued in (True, False):
            marker_in(text, continued=continued)
        seconds.append(time.process_time() - began)
    assert min(seconds) < 1


def test_only_the_beginning_of_a_text_is_looked_at():
    before = " word" * (MOST_CHARACTERS // 5)
    assert marker_in(before + ANEW, continued=True) is None
    assert marker_in(before[: -len(ANEW)] + ANEW, continued=True) == "The End"


def test_every_usual_pattern_has_a_name_and_is_compiled():
    assert len({one.name for one in DEFAULT_PATTERNS}) == len(DEFAULT_PATTERNS)
    assert all(isinstance(one.pattern, re.Pattern) for one in DEFAULT_PATTERNS)
