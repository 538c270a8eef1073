"""The block that says how much of a change a temperature explains, as it stands on a screen."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from collapsecli.compared import Tempered
from collapsecli.records import UNDEFINED, Estimate
from collapsecli.report.compare_temperature import temperature_block


def known(value):
    return Estimate(value, value, value)


def scored(question, t_eff, at_1, remains, label, source="scored"):
    t_eff, at_1, remains = (one if isinstance(one, Estimate) else known(one) for one in (t_eff, at_1, remains))
    return Tempered(question, t_eff, at_1, remains, 100, source, None, label)


NUMBERS = scored("integer-1-100", 6.03, 3.12, 1.91, "not a temperature change")
MANY_NUMBERS = scored(
    "integer-1-1000",
    Estimate(64.0, 64.0, None),
    4.0,
    0.3,
    "a temperature change; above 64",
    "scored, several tokens",
)
COIN = scored("coin", 0.25, 0.9, 0.2, "partly a temperature change")
CERTAIN = scored("capital", Estimate(1 / 16, None, 1 / 16), 2.0, 0.1, "a temperature change; below 0.0625")
DIE = scored(
    "die",
    1.2,
    Estimate(None, 0.8),
    Estimate(None, 0.3),
    "not a temperature change; 2 answers of the base are impossible",
)
APART = scored(
    "yes-or-no", UNDEFINED, UNDEFINED, UNDEFINED, "not a temperature change; 1 answer of the base is impossible"
)
TOAST = Tempered(
    "toast/murderer",
    Estimate(1.6, 1.3, None),
    Estimate(0.31, 0.2, 0.4),
    Estimate(0.05, 0.01, 0.12),
    256,
    "sweep",
    0.0042,
    "partly a temperature change; from T 1.3 on",
)
STORY = Tempered(
    "story[subject=bugs,wording=2,format=few-shot]",
    known(1.3),
    Estimate(0.31, 0.2, 0.4),
    Estimate(0.0, 0.0, 0.03),
    256,
    "sweep",
    0.61,
    "a temperature change",
)
OPENING = Tempered(
    "opening",
    Estimate(1.0, None, None),
    Estimate(0.01, 0.0, 0.05),
    Estimate(0.01, 0.0, 0.05),
    256,
    "sweep",
    0.41,
    "no change to explain",
)
ALL = (OPENING, STORY, TOAST, APART, DIE, COIN, CERTAIN, MANY_NUMBERS, NUMBERS)


def screen_of(tempered, width):
    console = Console(file=io.StringIO(), width=width, highlight=False)
    for block in temperature_block(tempered, width):
        console.print(block)
    return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())


def lines_of(tempered, width):
    return screen_of(tempered, width).splitlines()


def test_nothing_is_said_of_nothing():
    assert temperature_block([], 80) == []


KNOWN = """\
more than temperature
                    closest at     what remains
integer-1-100            T 6.0  1.9 of 3.1 nats  not a temperature change
coin                    T 0.25  0.2 of 0.9 nats  partly a temperature change
integer-1-1000      above T 64  0.3 of 4.0 nats  a temperature change
capital         below T 0.0625  0.1 of 2.0 nats  a temperature change
The run's answers are made flatter (T above 1) or sharper until they are closest
to the base's. Nats: KL of the base against the run, from scored answers. A
change of temperature alone would leave nothing.
"""


def test_known_probabilities_on_80_columns():
    assert screen_of([CERTAIN, NUMBERS, MANY_NUMBERS, COIN], 80) == KNOWN


ON_80 = """\
more than temperature               closest at            what remains  T alone?
integer-1-100                            T 6.0         1.9 of 3.1 nats    no
die                                      T 1.2       ≥0.3 of ≥0.8 nats    no
yes-or-no                                    –                       –    no
coin                                    T 0.25         0.2 of 0.9 nats    partly
toast/murderer                      T 1.6 ≥1.3  0.05 of 0.31 0.01–0.12    partly
integer-1-1000                      above T 64         0.3 of 4.0 nats    yes
capital                         below T 0.0625         0.1 of 2.0 nats    yes
story[subject=…ormat=few-shot]           T 1.3  0.00 of 0.31 0.00–0.03    yes
The run's answers are made flatter (T above 1) or sharper until they are closest
to the base's. Nats: KL of the base against the run, from scored answers.
Without nats: the squared distance of the answers, 0 to 2, at sampled
temperatures; beside T those as near. A change of temperature alone would leave
nothing. – or ≥: some answers of the base are impossible for the run at any
temperature.
"""


def test_everything_on_80_columns():
    assert screen_of(ALL, 80) == ON_80


ON_120 = """\
more than temperature                          closest at                      what remains
integer-1-100                                       T 6.0                   1.9 of 3.1 nats  not a temperature change
die                                                 T 1.2                 ≥0.3 of ≥0.8 nats  not a temperature change
yes-or-no                                               –                                 –  not a temperature change
coin                                               T 0.25                   0.2 of 0.9 nats  partly a temperature change
toast/murderer                                 T 1.6 ≥1.3  0.05 of 0.31 0.01–0.12, p = .004  partly a temperature change
integer-1-1000                                 above T 64                   0.3 of 4.0 nats  a temperature change
capital                                    below T 0.0625                   0.1 of 2.0 nats  a temperature change
story[subject=bugs,w…g=2,format=few-shot]           T 1.3  0.00 of 0.31 0.00–0.03, p = .610  a temperature change
The run's answers are made flatter (T above 1) or sharper until they are closest to the base's. Nats: KL of the base
against the run, from scored answers. Without nats: the squared distance of the answers, 0 to 2, at sampled
temperatures; beside T those as near. A change of temperature alone would leave nothing. – or ≥: some answers of the
base are impossible for the run at any temperature.
"""


def test_everything_on_120_columns():
    assert screen_of(ALL, 120) == ON_120


ON_60 = """\
more than temperature
                  closest at           what remains T alone?
integer-1-100          T 6.0        1.9 of 3.1 nats   no
toast/murderer    T 1.6 ≥1.3 0.05 of 0.31 0.01–0.12   partly
story[su…ew-shot]      T 1.3 0.00 of 0.31 0.00–0.03   yes
The run's answers are made flatter (T above 1) or sharper
until they are closest to the base's. Nats: KL of the base
against the run, from scored answers. Without nats: the
squared distance of the answers, 0 to 2, at sampled
temperatures; beside T those as near. A change of
temperature alone would leave nothing.
"""


def test_a_sweep_on_60_columns():
    assert screen_of([NUMBERS, TOAST, STORY], 60) == ON_60


def test_at_most_twelve_prompts_have_a_line():
    many = [scored(f"prompt-{k:02}", 2.0, 1.0, 0.01 * k, "a temperature change") for k in range(15)]
    lines = lines_of(many, 100)
    assert [line.split()[0] for line in lines[1:13]] == [f"prompt-{k:02}" for k in range(14, 2, -1)]
    assert lines[13] == "  and 3 more"
    assert not any("more" in line for line in lines_of(many[:12], 100)[1:])


def test_what_no_temperature_explains_stands_first():
    lines = lines_of(ALL, 120)[1:9]
    assert [line.split()[0] for line in lines][:4] == ["integer-1-100", "die", "yes-or-no", "coin"]
    assert lines[-1].startswith("story")


@pytest.mark.parametrize("label", ["no change to explain", "as even answers would: no telling; above 64"])
def test_where_a_temperature_tells_nothing_there_is_no_line(label):
    assert temperature_block([scored("coin", 2.0, 0.01, 0.01, label)], 80) == []
    lines = lines_of([NUMBERS, scored("coin", 2.0, 0.01, 0.01, label)], 80)
    assert not any(line.startswith("coin") for line in lines)


def test_hostile_names_are_shown_and_never_obeyed():
    hostile = "[bold]\x1b[31m\u202e[/bold]\nsecond"
    told = scored(hostile, 2.0, 1.0, 0.6, "not a temperature change")
    (line,) = [one for one in lines_of([told], 120) if "T 2.0" in one]
    assert "\x1b" not in line
    assert "\u202e" not in line
    assert "[bold]" in line


ENDS = st.none() | st.floats(0, 5)
ESTIMATES = st.builds(Estimate, ENDS, ENDS, ENDS)
TEMPERATURES = st.none() | st.sampled_from([1 / 16, 0.25, 0.7, 1.0, 1.35, 64.0])
LABELS = st.sampled_from([*(one.label for one in ALL), "too few draws to tell", ""])
ANY = st.builds(
    Tempered,
    st.sampled_from([one.question for one in ALL]),
    st.builds(Estimate, TEMPERATURES, TEMPERATURES, TEMPERATURES),
    ESTIMATES,
    ESTIMATES,
    st.integers(0, 9999),
    st.sampled_from(["scored", "scored, several tokens", "sweep"]),
    st.none() | st.floats(0, 1),
    LABELS,
)


@given(tempered=st.lists(ANY, min_size=1, max_size=14), width=st.integers(60, 160))
def test_no_line_of_the_table_is_wider_than_the_screen(tempered, width):
    *table, legend = temperature_block([*tempered, NUMBERS], width)
    assert max(line.cell_len for line in table) <= width
    assert "would leave nothing." in legend.plain


@pytest.mark.parametrize("width", [80, 120, 160])
def test_every_number_that_was_estimated_has_its_interval(width):
    text = screen_of(ALL, width)
    assert "0.05 of 0.31 0.01–0.12" in text
    assert "T 1.6 ≥1.3" in text
