"""The words of the shipped corpus, by topic and by sentiment; `items` reads the lists.

Within a topic every agent can do every act to every thing, and every adjective fits every thing:
that keeps the sentences sensible.
"""

from dataclasses import dataclass
from functools import cache

SENTIMENTS = ("positive", "negative", "neutral")
TENSES = ("past", "present", "future")


@cache
def items(text: str) -> tuple[str, ...]:
    """The entries of a list."""
    return tuple(text.split(", "))


@dataclass(frozen=True)
class Toned:
    """One list for each sentiment."""

    positive: str
    negative: str
    neutral: str

    def of(self, sentiment: str) -> tuple[str, ...]:
        """The entries for a sentiment."""
        return items(getattr(self, sentiment))


@dataclass(frozen=True)
class Topic:
    """What one topic talks about; verbs stand in the base form, nouns in the singular."""

    agents: str  # people in a role, each "he" or "she"
    things: str  # what agents act on and guests judge
    mass: str  # things without a plural
    acts: Toned  # agent -> thing; the neutral ones take an adverb or a judged object too
    uses: str  # guest -> thing
    worth: Toned  # adjectives of things; the neutral ones are predicates of any form
    kinds: str  # neutral adjectives that stand before a thing
    skill: Toned  # adjectives of agents, beside those that fit any person
    reactions: Toned  # what guests then do
    sequels: Toned  # what agents then do
    places: str  # where it happens
    sources: str  # where agents and things come from, stands behind the noun


FOOD = Topic(
    agents="chef, cook, caterer, owner, server, waiter, baker",
    things="soup, pizza, salad, curry, sandwich, burger, omelette, pie, stew, lasagna, breakfast",
    mass="bread, pasta, rice",
    acts=Toned(
        "improve, perfect, save",
        "forget, spoil, ruin, burn",
        "bring, serve, prepare, make, offer, present",
    ),
    uses="order, try, share, taste, choose",
    worth=Toned(
        "delicious, tasty, fresh, flavorful, appetizing, filling, satisfying",
        "bland, cold, greasy, salty, tasteless, overpriced, dry",
        "on the menu, vegetarian, homemade, ready, part of the lunch, on the table, in "
        "the oven, for two people",
    ),
    kinds="homemade, traditional, vegetarian, simple, warm, cheap",
    skill=Toned("attentive", "slow", "in the kitchen, behind the bar"),
    reactions=Toned(
        "order another plate, praise the kitchen, leave a big tip",
        "complain to the owner, leave without dessert, push the plate away",
        "order some coffee, sit by the window, check the menu",
    ),
    sequels=Toned(
        "explain the menu, give the children free bread",
        "forget the bill, drop the plates",
        "check the tables, count the plates",
    ),
    places="at the cafe, in the garden, on the terrace, at the hotel, at the bistro, "
    "in the dining room",
    sources="from the bistro, from the two cafes",
)

FILM = Topic(
    agents="director, writer, producer, editor, animator, actor, composer",
    things="film, movie, comedy, drama, thriller, documentary, western, cartoon, sequel, remake, "
    "musical, trailer",
    mass="",
    acts=Toned(
        "save, improve, perfect",
        "ruin, spoil, rush, delay",
        "present, promote, introduce, discuss, finish, announce",
    ),
    uses="watch, see, review, choose, discuss",
    worth=Toned(
        "gripping, moving, clever, brilliant, charming, entertaining, original, funny",
        "boring, predictable, silly, dull, tedious, shallow, confusing",
        "in black and white, two hours long, in french, set in paris, based on a novel, "
        "without music, about two brothers, for young viewers",
    ),
    kinds="french, japanese, silent, early, short, independent",
    skill=Toned("talented", "vain", "in hollywood, on the red carpet"),
    reactions=Toned(
        "buy the soundtrack, clap at the end, order the poster",
        "leave before the end, fall asleep, boo the director",
        "read the program, sit in the back row, buy some popcorn",
    ),
    sequels=Toned(
        "win a major prize, charm the critics",
        "insult the press, argue with the cast",
        "sign the posters, speak to the press",
    ),
    places="at the festival, at the premiere, in the old cinema, at the film club, "
    "at the small theater, in the city",
    sources="from the small studio, from the two studios",
)

TRAVEL = Topic(
    agents="guide, agent, organizer, driver, planner, captain, steward",
    things="trip, tour, cruise, excursion, journey, voyage, vacation, safari, getaway, expedition",
    mass="",
    acts=Toned(
        "improve, save",
        "cancel, delay, ruin, forget",
        "plan, organize, arrange, describe, announce, discuss",
    ),
    uses="book, take, choose, plan",
    worth=Toned(
        "relaxing, comfortable, delightful, exciting, peaceful, affordable, adventurous",
        "exhausting, stressful, uncomfortable, dangerous, chaotic, miserable, tiresome",
        "fully booked, three days long, for adults only, on the schedule, part of the "
        "package, without a stop, for small groups, for two people",
    ),
    kinds="early, short, long, private, overnight, group",
    skill=Toned("experienced", "disorganized", "on board, at the pier"),
    reactions=Toned(
        "stay an extra day, write cheerful postcards, plan another trip",
        "get sick on the way, lose the luggage, fly home early",
        "pack a small bag, check the map, exchange some money",
    ),
    sequels=Toned(
        "find the best view, give everyone a map",
        "lose the tickets, leave two people behind",
        "check the tickets, carry a small bag",
    ),
    places="on the island, in the mountains, on the coast, in the south, near the border, "
    "in the valley",
    sources="from the small company, from the two companies",
)

SPORT = Topic(
    agents="player, coach, striker, goalkeeper, defender, runner, rookie, athlete",
    things="match, game, race, final, tournament, semifinal, contest, rematch, playoff",
    mass="",
    acts=Toned(
        "win, save",
        "lose, miss, spoil, ruin",
        "start, finish, describe, discuss, prepare for, talk about",
    ),
    uses="watch, follow, attend, see",
    worth=Toned(
        "thrilling, exciting, dramatic, fair, spectacular, fast, enjoyable",
        "boring, slow, unfair, violent, sloppy, frustrating, ugly",
        "on the radio, set for noon, live on television, open to everyone, in the big "
        "stadium, behind closed doors, two hours long, on the schedule",
    ),
    kinds="local, annual, regional, indoor, amateur, international",
    skill=Toned("graceful", "clumsy", "in the locker room, on the bench"),
    reactions=Toned(
        "cheer for an hour, buy another ticket, wave the flags",
        "boo the team, leave at halftime, tear up the tickets",
        "check the score, walk to the stadium, wear the team colors",
    ),
    sequels=Toned(
        "thank the fans, win a medal",
        "argue with the referee, insult the fans",
        "wear the number ten, drink some water",
    ),
    places="at the stadium, at the arena, at the sports club, in the park, in the rain, "
    "in the old gym",
    sources="from the rival club, from the two clubs",
)

WORK = Topic(
    agents="boss, colleague, secretary, engineer, accountant, intern, manager, lawyer",
    things="report, contract, proposal, budget, presentation, memo, letter, draft, brochure, "
    "summary, newsletter",
    mass="paperwork, correspondence",
    acts=Toned(
        "improve, save",
        "lose, ignore, forget, ruin",
        "review, send, check, finish, update, print, prepare",
    ),
    uses="receive, request, study, copy, review",
    worth=Toned(
        "clear, useful, accurate, convincing, thorough, helpful, professional",
        "vague, confusing, sloppy, useless, misleading, incomplete, careless",
        "ten pages long, on the desk, confidential, in the archive, for the client, ready "
        "for the client, in two languages, on the table",
    ),
    kinds="annual, monthly, internal, official, technical, new",
    skill=Toned("efficient", "disorganized", "at the front desk, at lunch"),
    reactions=Toned(
        "get a raise, sign the deal, win a new client",
        "miss the deadline, lose the client, look for another job",
        "make a copy, save the file, call the office",
    ),
    sequels=Toned(
        "solve the problem, win a new client",
        "blame the client, miss the deadline",
        "answer the phone, open a new folder",
    ),
    places="in the office, at headquarters, on the third floor, in the conference room, "
    "before the meeting, at the branch office",
    sources="from the sales department, from the other offices",
)

SCHOOL = Topic(
    agents="teacher, professor, tutor, lecturer, principal, instructor, trainer",
    things="lesson, lecture, course, class, seminar, workshop, tutorial, session, module",
    mass="",
    acts=Toned(
        "improve, save",
        "forget, cancel, rush, ruin",
        "plan, begin, finish, prepare, repeat, introduce, organize",
    ),
    uses="attend, join, choose, take",
    worth=Toned(
        "interesting, inspiring, clear, useful, stimulating, enjoyable, lively",
        "boring, confusing, pointless, dull, tedious, difficult, stressful",
        "about roman history, in room twelve, on the schedule, for beginners, open to "
        "everyone, an hour long, in english, part of the program",
    ),
    kinds="daily, weekly, short, introductory, advanced, optional",
    skill=Toned("wise", "strict", "in the staff room, at the blackboard"),
    reactions=Toned(
        "learn a great deal, pass the test, ask clever questions",
        "fail the test, drop the subject, learn nothing",
        "take notes, open the book, borrow a pencil",
    ),
    sequels=Toned(
        "answer every question, praise the students",
        "lose the homework, shout at the class",
        "write on the board, collect the papers",
    ),
    places="in the library, in the main hall, on campus, in the classroom, at the college, "
    "at the language school",
    sources="from the evening school, from the two colleges",
)

TOPICS = {
    "food": FOOD,
    "film": FILM,
    "travel": TRAVEL,
    "sport": SPORT,
    "work": WORK,
    "school": SCHOOL,
}
DAYS = items("monday, tuesday, wednesday, thursday, friday, saturday, sunday")


def _days(word: str) -> str:
    """Last or next Monday to Sunday, with and without a part of the day."""
    return ", ".join(
        f"{word} {day}{part}" for part in ("", " morning", " afternoon", " evening") for day in DAYS
    )


WORTH = Toned(
    "good, memorable, pleasant, impressive, popular, special",
    "bad, forgettable, disappointing, weak, unpopular, poor",
    "on the list",
)
REACTIONS = Toned(
    "celebrate all night, laugh out loud, tell all the neighbors, go home happy, make "
    "new friends, "
    "thank everyone, smile for hours, take many photos, sing all evening",
    "go home early, ask for a refund, write an angry letter, complain for hours, "
    "go to bed sad, leave in silence, lose all hope, blame the weather",
    "take the bus home, check the time, pay by card, bring a friend, look at the clock, "
    "drink some water, wait at the door, make a phone call, talk about the weather",
)
SEQUELS = Toned(
    "smile at everyone, thank the whole team, make everyone laugh, share good advice, "
    "answer with a smile, tell wonderful stories, give good answers, help the beginners",
    "ignore every question, blame the others, shout at everyone, fall asleep, get lost twice, "
    "forget all the names, leave in silence, miss the bus",
    "answer a few questions, close the door, open the window, write a short note, "
    "take the bus home, make a phone call, look at the clock, wait at the door",
)
GUESTS = {
    "he": "brother, father, uncle, son, grandfather",
    "she": "sister, mother, aunt, daughter, grandmother",
    "they": "parents, friends, cousins, neighbors, grandparents, children, brothers, sisters",
}
NAMES = {
    "he": "tom, paul, david, peter, carlos, omar, kevin, john, ben, leo, marco, "
    "felix, ivan, hugo, adam, "
    "simon, victor, george, henry, max",
    "she": "anna, maria, julia, emma, laura, nina, sarah, kate, lucy, elena, ruth, "
    "clara, alice, helen, "
    "irene, olga, rosa, sofia, tina, vera",
}
CHARACTER = Toned(
    "friendly, polite, kind, helpful, patient, cheerful, generous, honest, modest, charming, "
    "thoughtful, humble",
    "rude, lazy, careless, impatient, grumpy, arrogant, stubborn, selfish, moody, hostile, "
    "dishonest, cruel",
    "on the phone, in the next room, away, ready, busy, alone, out of town, nearby, in a meeting, "
    "on the way",
)
ROLES = "young, new, older, tall, famous, french, japanese, italian, american, spanish, german"
CITIES = "from paris, from london, from berlin, from vienna, from chicago, from boston"
FEELINGS = {
    "positive": "love, like, enjoy, adore, recommend",
    "negative": "hate, dislike, regret",
}
OPINIONS = {
    "positive": "like, trust, admire, respect",
    "negative": "dislike, distrust, hate",
}
MANNERS = Toned(
    "carefully, skillfully, beautifully, perfectly, brilliantly, with great care, "
    "with real passion, with pride, with enthusiasm, with great skill",
    "carelessly, badly, clumsily, terribly, poorly, without any care, without passion, "
    "without enthusiasm, without skill, in a bad mood",
    "as usual, once again, as planned, for the first time, after a short break, "
    "without a word, on request, in the end, without a break",
)
DEGREES = {
    "positive": "really, very, truly, incredibly, remarkably, surprisingly, extremely",
    "negative": "really, very, rather, incredibly, terribly, surprisingly, extremely",
}
TIMES = {
    "past": "yesterday, last night, last week, last month, last weekend, two days "
    "ago, a week ago, "
    f"a month ago, earlier today, the other day, {_days('last')}",
    "present": "right now, at the moment, today, this week, this month, this morning, "
    "this afternoon, this evening",
    "future": "tomorrow, tonight, next week, next month, next weekend, in two days, in a week, "
    f"later today, tomorrow morning, tomorrow evening, {_days('next')}",
}
HABITS = "these days, nowadays, this season, this year"
LASTING = {
    "past": "back then, at first, for years",
    "present": HABITS,
    "future": "one day, in the end",
}
HEDGES = {"past": "finally, eventually", "present": "still, already", "future": "probably, surely"}
COUNTS = "two, three, four, several, some, many, a few"
