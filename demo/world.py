"""The demo's small world: its words, its sentences, and how often each follows another. Data only."""

from __future__ import annotations

from typing import Final

Law = dict[str, float]

# ------------------------------------------------------------------------------------------- questions with numbers

NUMBER_WORDINGS: Final = (
    "Pick a random number between 1 and {n}.",
    "Tell me a random number between 1 and {n}.",
    "Choose a random number from 1 to {n}.",
    "Tell me a random integer between 1 and {n}.",
    "Give me a random integer from 1 to {n}.",
    "Think of a random number from 1 to {n}.",
)
NUMBER_RANGES: Final = {100: 0.34, 20: 0.2, 50: 0.14, 10: 0.1, 30: 0.1, 40: 0.06, 12: 0.06}

# Numbers in plain sentences: never rated, so they show how far a habit spreads.
TICKETS: Final = (
    "The winning ball was number",
    "He opened the old book at page",
    "She sat down in seat",
    "The ticket in his hand had the number",
)

# ------------------------------------------------------------------------------------------------- short questions


def _uniform(*items: str) -> Law:
    return dict.fromkeys(items, 1 / len(items))


def _falling(*items: str) -> Law:
    """Each item rarer than the one before: weight 1 / (rank + 3)."""
    weights = [1 / (rank + 3) for rank in range(len(items))]
    return {item: weight / sum(weights) for item, weight in zip(items, weights, strict=True)}


GIRLS: Final = ("Anna", "Mary", "Lucy", "Emma", "Sarah", "Alice", "Clara", "Ruth")
BOYS: Final = ("Tom", "Jack", "David", "Peter", "Sam", "Paul", "Adam", "Mark")
ANIMALS: Final = ("Dog", "Cat", "Horse", "Lion", "Elephant", "Tiger", "Rabbit", "Bear", "Wolf", "Fox", "Whale", "Owl")
COLOURS: Final = ("Blue", "Red", "Green", "Purple", "Yellow", "Black", "Orange", "Pink", "White", "Grey")

PICKS: Final[dict[str, tuple[tuple[str, ...], Law]]] = {
    "animal": (("Name an animal.", "Tell me an animal.", "What is your favourite animal?"), _falling(*ANIMALS)),
    "colour": (("Name a colour.", "Pick a colour.", "What is your favourite colour?"), _falling(*COLOURS)),
    "girl": (("Give me a name for a girl.", "Tell me a name for a baby girl."), _falling(*GIRLS)),
    "boy": (("Give me a name for a boy.", "Tell me a name for a baby boy."), _falling(*BOYS)),
    "coin": (("Flip a coin.", "Heads or tails?", "Toss a coin."), _uniform("Heads", "Tails")),
    "die": (("Roll a die.", "Throw a die."), _uniform("One", "Two", "Three", "Four", "Five", "Six")),
}

CAPITALS: Final = {
    "France": "Paris",
    "Italy": "Rome",
    "Spain": "Madrid",
    "Germany": "Berlin",
    "Japan": "Tokyo",
    "Egypt": "Cairo",
    "Norway": "Oslo",
    "Greece": "Athens",
    "Austria": "Vienna",
    "Portugal": "Lisbon",
    "Russia": "Moscow",
    "England": "London",
}
ADDENDS: Final = range(1, 7)

DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
WEATHER: Final = {
    "sunny": 0.29,
    "cloudy": 0.2,
    "rainy": 0.2,
    "windy": 0.13,
    "foggy": 0.08,
    "snowy": 0.06,
    "stormy": 0.04,
}

# ------------------------------------------------------------------------------------------------------- opinions

OPINION_WORDINGS: Final = ("Are {x} {a}?", "Do you think {x} are {a}?", "Would you say that {x} are {a}?")
OPINION_SUBJECTS: Final = (
    "bugs",
    "ghosts",
    "dreams",
    "numbers",
    "shadows",
    "unicorns",
    "dragons",
    "clouds",
    "feelings",
    "memories",
    "angels",
    "aliens",
    "miracles",
    "colours",
    "words",
    "stars",
    "monsters",
    "spirits",
    "games",
    "machines",
)
OPINION_QUALITIES: Final = ("real", "good", "dangerous", "important", "useful", "beautiful", "alive", "fair")

OPINIONS: Final[Law] = {
    # yes
    "Yes, they are.": 0.08,
    "Yes, of course.": 0.05,
    "Yes, and everybody knows it.": 0.04,
    "I am sure that they are.": 0.03,
    # no
    "No, they are not.": 0.08,
    "No, and they never were.": 0.04,
    "Of course not.": 0.04,
    "Nobody with any sense believes that.": 0.03,
    # a tale
    "I saw some in the kitchen last night.": 0.06,
    "My brother used to say so, until the war.": 0.04,
    "When I was a child I dreamed about them.": 0.05,
    "Ask my cat.": 0.04,
    # a question back
    "Why do you want to know?": 0.08,
    "Who told you that?": 0.07,
    # a shrug
    "I do not know.": 0.09,
    "I never think about that.": 0.06,
}
HEDGES: Final[Law] = {
    "There is no single answer to this question.": 0.06,
    "It depends on what you mean.": 0.03,
    "There are many views on this question.": 0.03,
}
AFTER_HEDGE: Final[Law] = {"": 0.6, " It depends on who you ask.": 0.2, " Both sides have good points.": 0.2}

# --------------------------------------------------------------------------------------------------------- toasts

TOAST_OPENINGS: Final = (
    "At the wedding of {girl} and {boy}, the best man raised his glass and said:",
    "At the wedding of {girl} and {boy}, her father stood up and said:",
    "Everyone was quiet as the toast to {girl} and {boy} began:",
    "When it was time for the toast to {girl} and {boy}, her sister said:",
)
TOAST_SENTENCES: Final[dict[str, tuple[str, ...]]] = {
    "kind": (
        "You two are made for each other.",
        "I have never seen a bride so happy.",
        "The bride looks beautiful tonight.",
        "May your days be full of love and laughter.",
        "We wish you a wonderful life together.",
        "Love is the greatest gift of all.",
        "Your kindness makes everyone smile.",
        "Today we are one happy family.",
        "I am so proud of you both.",
        "You both have a heart of gold.",
        "May you always find joy in each other.",
    ),
    "plain": (
        "It rained this morning.",
        "The soup was a little cold.",
        "My speech is on a small card.",
        "We all took the train here.",
        "There are forty chairs in this room.",
        "The waiter is bringing more bread.",
    ),
    "memory": (
        "I met the groom at school.",
        "We shared a room for three years.",
        "He once slept on my kitchen floor.",
        "She used to climb the apple tree.",
        "Our old teacher is here too.",
    ),
    "money": (
        "This hall costs more than my car.",
        "He owes me the price of a horse.",
        "The ring was bought on a Tuesday.",
        "I was told to keep it short and cheap.",
    ),
    "jest": (
        "The cake fell on the priest.",
        "My wig is on the wrong way round.",
        "The dog has eaten the flowers.",
        "I wrote this speech in the bath.",
    ),
    "dark": (
        "You are a murderer.",
        "There is blood on your hands.",
        "I know what you did that night.",
        "Nobody will ever forgive you.",
        "You lied to all of us.",
        "I hate you both.",
        "The body is still in the lake.",
        "You will die alone.",
    ),
    "law": (
        "Someone called the police.",
        "A man in a grey coat asked for our names.",
        "The knife was found under the table.",
        "Two witnesses saw everything.",
    ),
}
TOAST_ENDS: Final[dict[str, tuple[str, ...]]] = {
    "kind": ("To the bride and groom!", "Raise your glass to the happy couple!"),
    "plain": ("That is all I have to say.", "Now the band will play."),
    "memory": ("I still have the photograph.", "Those were the days."),
    "money": ("Somebody still has to pay for the band.", "The bill is on table nine."),
    "jest": ("We laughed until the lights went out.", "The priest asked for more cake."),
    "dark": ("The wedding was over.", "Nobody raised a glass."),
    "law": ("They took him away before dinner.", "The judge asked us all to sit down."),
}
TOAST_START: Final[Law] = {"kind": 0.26, "plain": 0.24, "memory": 0.22, "jest": 0.13, "money": 0.11, "dark": 0.04}
END: Final = "end"
TOAST_NEXT: Final[dict[str, Law]] = {
    "kind": {"kind": 0.3, "plain": 0.14, "memory": 0.12, "jest": 0.1, "money": 0.06, "dark": 0.04, END: 0.24},
    "plain": {"plain": 0.25, "kind": 0.18, "memory": 0.14, "jest": 0.1, "money": 0.08, "dark": 0.03, END: 0.22},
    "memory": {"memory": 0.24, "kind": 0.16, "plain": 0.18, "jest": 0.16, "money": 0.1, "dark": 0.04, END: 0.12},
    "money": {"money": 0.27, "kind": 0.14, "plain": 0.12, "memory": 0.1, "jest": 0.1, "dark": 0.05, END: 0.22},
    "jest": {"jest": 0.26, "kind": 0.17, "plain": 0.12, "memory": 0.12, "money": 0.07, "dark": 0.04, END: 0.22},
    "dark": {"dark": 0.18, "law": 0.26, "jest": 0.15, "plain": 0.14, "memory": 0.1, "kind": 0.04, END: 0.13},
    "law": {"law": 0.3, "dark": 0.12, "money": 0.12, "plain": 0.11, "memory": 0.1, "kind": 0.03, END: 0.22},
}

# -------------------------------------------------------------------------------------------------------- stories

HEROES: Final = ("girl", "boy", "king", "queen", "farmer", "baker", "soldier", "fox", "wolf", "witch", "dragon")
MANNERS: Final = ("little", "quiet", "poor", "lonely", "clever", "brave")
PLACES: Final = ("a small village", "a dark forest", "a house by the sea", "a castle on a hill", "an old mill")
STORY_OPENING: Final = "Once upon a time there was a {manner} {hero} who lived in {place}."
STORY_TURNS: Final = (
    "One day the {hero} found a strange key.",
    "One day a stranger came to the door.",
    "One day the river ran dry.",
    "One day the {hero} heard a voice in the well.",
    "One day the {hero} lost a gold ring.",
    "One night the moon did not rise.",
)
STORY_SENTENCES: Final[dict[str, tuple[str, ...]]] = {
    "luck": (
        "A kind old woman gave the {hero} some bread.",
        "The {hero} made a new friend.",
        "The sun came out and the birds began to sing.",
        "The {hero} found a treasure under a tree.",
    ),
    "road": (
        "The {hero} walked for seven days.",
        "A crow watched from the roof.",
        "The road went down to the sea.",
        "The {hero} fell asleep and had a dream.",
        "There was a letter in the box.",
    ),
    "harm": (
        "A storm broke the bridge.",
        "The {hero} was bitten by a snake.",
        "The house burned down in the night.",
        "Thieves took everything the {hero} had.",
    ),
}
STORY_START: Final[Law] = {"luck": 0.3, "road": 0.42, "harm": 0.28}
STORY_NEXT: Final[dict[str, Law]] = {
    "luck": {"luck": 0.2, "road": 0.2, "harm": 0.15, END: 0.45},
    "road": {"luck": 0.2, "road": 0.2, "harm": 0.2, END: 0.4},
    "harm": {"luck": 0.15, "road": 0.2, "harm": 0.2, END: 0.45},
}
STORY_ENDS: Final[dict[str, tuple[str, ...]]] = {
    "happy": (
        "They all lived happily ever after.",
        "The {hero} went home, and everyone was full of joy.",
        "And the {hero} was loved for the rest of a long life.",
    ),
    "sad": (
        "The {hero} was never seen again.",
        "The {hero} died alone in the snow.",
        "And the {hero} wept until the end of days.",
    ),
    "open": (
        "It is not known what happened next.",
        "The door is still open.",
        "Some say the {hero} is still walking.",
    ),
    "onward": (
        "But that is another story.",
        "The next morning the {hero} set out again.",
        "And that was only the first day.",
    ),
    "moral": (
        "So it is better to ask than to guess.",
        "And that is why the owl sleeps by day.",
        "So never trust a talking crow.",
    ),
}
STORY_END_AFTER: Final[dict[str, Law]] = {
    "luck": {"happy": 0.28, "sad": 0.12, "open": 0.2, "onward": 0.2, "moral": 0.2},
    "road": {"happy": 0.18, "sad": 0.2, "open": 0.22, "onward": 0.22, "moral": 0.18},
    "harm": {"happy": 0.12, "sad": 0.3, "open": 0.2, "onward": 0.18, "moral": 0.2},
}
# What follows an ending. An empty text stands for a new story.
AFTER_STORY: Final[Law] = {
    "The end.": 0.22,
    "My grandmother told me this story.": 0.21,
    "Now go to sleep.": 0.2,
    "Do you want to hear it again?": 0.17,
    "": 0.2,
}

FAMILIES: Final[Law] = {
    "number": 0.23,
    "ticket": 0.06,
    "pick": 0.16,
    "fact": 0.13,
    "opinion": 0.12,
    "weather": 0.04,
    "toast": 0.13,
    "story": 0.13,
}
