"""The words of the shipped corpus, by topic and by sentiment. Lists are read by `items`: comma and space.

Within a topic every agent can do every act to every thing, and every adjective fits every thing: that is what
keeps the sentences sensible.
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

    agents: str  # people in a role, "he" or "she"
    male: str  # agents that are only "he"
    female: str  # agents that are only "she"
    things: str  # what agents act on and guests judge
    mass: str  # things without a plural; may be empty
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
    agents="chef, cook, caterer, owner, server",
    male="waiter",
    female="waitress, hostess",
    things="soup, pizza, salad, curry, sandwich, burger, omelette, pie, stew, lasagna, breakfast",
    mass="bread, pasta, rice",
    acts=Toned(
        "improve, perfect",
        "forget, spoil, ruin, burn",
        "bring, serve, prepare, make, offer, order, recommend",
    ),
    uses="order, try, share, taste, choose",
    worth=Toned(
        "delicious, tasty, fresh, flavorful, appetizing, good, filling, satisfying",
        "bland, cold, greasy, salty, tasteless, overpriced, bad, dry",
        "on the menu, vegetarian, homemade, ready, part of the set lunch, on the table, "
        "in the oven, for two people",
    ),
    kinds="homemade, traditional, vegetarian, simple, warm, italian",
    skill=Toned("attentive, hospitable", "slow, inattentive", "in the kitchen, behind the bar"),
    reactions=Toned(
        "leave a big tip, ask for the recipe, order another plate, praise the kitchen, "
        "plan another visit, eat every bite",
        "complain to the owner, leave without dessert, push the plate away, write a bad review, "
        "go to bed hungry, refuse to pay the bill",
        "order some coffee, pay by card, sit by the window, look at the menu, share the bill, "
        "drink some water",
    ),
    sequels=Toned(
        "smile at every guest, explain the menu patiently, give the children free dessert, "
        "refill every glass",
        "forget the drinks, drop a full tray, add the bill up wrong, argue with a guest",
        "set the tables, put on a clean apron, light the candles, clear the plates",
    ),
    places="at the cafe, in the garden, on the terrace, at the hotel, at the new bistro, "
    "in the dining room",
    sources="from the corner bakery, from the new bistro, from the two cafes, from the small diners",
)

FILM = Topic(
    agents="director, writer, producer, editor, animator, screenwriter",
    male="actor",
    female="actress",
    things="film, movie, comedy, drama, thriller, documentary, western, cartoon, sequel, remake, "
    "musical, trailer",
    mass="",
    acts=Toned(
        "save, improve, perfect",
        "ruin, spoil, rush, abandon",
        "present, promote, introduce, discuss, finish, announce, defend",
    ),
    uses="watch, see, rent, stream, review",
    worth=Toned(
        "gripping, moving, clever, brilliant, charming, entertaining, original, funny",
        "boring, predictable, silly, dull, tedious, shallow, confusing, forgettable",
        "in black and white, two hours long, in french, set in paris, based on a novel, "
        "without words, about two brothers, for young viewers",
    ),
    kinds="french, japanese, silent, early, short, independent",
    skill=Toned("talented, inventive", "vain, unconvincing", "in hollywood, on the red carpet"),
    reactions=Toned(
        "buy the soundtrack, clap at the end, stay until the credits, laugh out loud, "
        "order the poster, cry tears of joy",
        "leave before the end, fall asleep in the dark, turn off the screen, "
        "ask for a refund, yawn the whole time, groan at every line",
        "read the program, sit in the back row, buy some popcorn, take the last bus home, "
        "look for the subtitles, check the cast",
    ),
    sequels=Toned(
        "win a major prize, thank the audience warmly, charm the critics, inspire young talent",
        "insult the press, argue with the crew, miss the premiere, disappoint the fans",
        "speak to the press, fly to berlin, sign posters in the lobby, answer a few questions",
    ),
    places="at the festival, at the premiere, in the old cinema, on television, "
    "at the small theater, in the studio",
    sources="from the small studio, from sweden, from the big studios, from the film schools",
)

TRAVEL = Topic(
    agents="guide, travel agent, captain, organizer, tour leader",
    male="steward",
    female="stewardess",
    things="trip, tour, cruise, excursion, journey, voyage, vacation, safari, boat ride, city break, "
    "hike, train ride",
    mass="",
    acts=Toned(
        "improve, save, brighten",
        "cancel, delay, ruin, shorten, interrupt",
        "plan, organize, arrange, describe, announce, discuss",
    ),
    uses="book, take, choose, plan",
    worth=Toned(
        "relaxing, comfortable, smooth, exciting, pleasant, memorable, affordable, peaceful",
        "exhausting, stressful, uncomfortable, dangerous, disappointing, chaotic, miserable, bumpy",
        "fully booked, three days long, for adults only, on the schedule, part of the package, "
        "without a stop, for small groups, along the coast",
    ),
    kinds="early, short, long, private, overnight, group",
    skill=Toned("knowledgeable, adventurous", "disorganized, unprepared", "on board, at the pier"),
    reactions=Toned(
        "take hundreds of photos, write cheerful postcards, stay an extra day, "
        "make new friends, admire every sunset, sleep like a baby",
        "fly home early, write an angry letter, demand a refund, swear never to return, "
        "get sick on the way, lose all patience",
        "pack a small bag, change trains in vienna, check the map, exchange some money, "
        "bring a raincoat, wait at the gate",
    ),
    sequels=Toned(
        "tell wonderful stories, find the best view, share good advice, make everyone feel safe",
        "get lost twice, ignore every question, lose the tickets, leave two people behind",
        "check the passports, count the passengers, carry a small flag, hand out the maps",
    ),
    places="at the airport, at the harbor, in the mountains, near the border, on the island, "
    "at the hotel desk",
    sources="from the local agency, with the small company, from the two ports, "
    "from the big cities",
)

SPORT = Topic(
    agents="player, coach, striker, goalkeeper, defender, runner, rookie, athlete",
    male="",
    female="",
    things="match, game, race, final, tournament, semifinal, contest, rematch, playoff, cup tie, "
    "qualifier",
    mass="",
    acts=Toned(
        "win, dominate, rescue",
        "lose, miss, spoil, quit early in",
        "start, finish, describe, discuss, prepare for, talk about",
    ),
    uses="watch, follow, attend, see",
    worth=Toned(
        "thrilling, exciting, dramatic, fair, spectacular, fast, enjoyable, intense",
        "boring, slow, unfair, violent, sloppy, frustrating, ugly, one-sided",
        "on the radio, scheduled for noon, live on television, open to the public, "
        "in the big stadium, behind closed doors, ninety minutes long, under floodlights",
    ),
    kinds="local, annual, regional, indoor, amateur, international",
    skill=Toned("fearless, graceful", "unfit, clumsy", "in the locker room, on the bench"),
    reactions=Toned(
        "cheer for an hour, celebrate all night, sing in the street, wave the flags, "
        "hug complete strangers, shout with joy",
        "leave at halftime, boo the team, tear up the tickets, curse at the screen, "
        "walk home in silence, demand the money back",
        "check the score, walk to the stadium, wear the team colors, bring a blanket, "
        "sit near the exit, buy a program",
    ),
    sequels=Toned(
        "thank the fans, inspire the whole team, earn a medal, play with great spirit",
        "argue with the referee, insult the fans, get a red card, blame the weather",
        "stretch before practice, speak to a reporter, wear the number ten, put on a jersey",
    ),
    places="at the stadium, on the wet grass, in front of the crowd, at the arena, "
    "at the sports club, in the rain",
    sources="from the rival club, from the national league, from the northern teams, "
    "between the two champions",
)

WORK = Topic(
    agents="boss, colleague, secretary, engineer, accountant, intern, manager, lawyer",
    male="",
    female="",
    things="report, contract, proposal, budget, presentation, memo, invoice, draft, spreadsheet, "
    "summary, form",
    mass="paperwork, correspondence",
    acts=Toned(
        "improve, approve, clarify, perfect",
        "lose, ignore, delete, forget, reject",
        "review, send, check, finish, update, print, prepare",
    ),
    uses="receive, request, study, use, file",
    worth=Toned(
        "clear, useful, accurate, convincing, thorough, impressive, helpful, professional",
        "vague, confusing, sloppy, useless, misleading, incomplete, careless, disappointing",
        "ten pages long, on the desk, confidential, in the archive, for the client, due at noon, "
        "in two languages, on the shared drive",
    ),
    kinds="annual, monthly, internal, official, technical, new",
    skill=Toned("efficient, reliable", "disorganized, unreliable", "at the front desk, in a meeting"),
    reactions=Toned(
        "get a raise, sign the deal, go home early, thank the whole department, "
        "win a new client, start with confidence",
        "miss the deadline, start from scratch, work all weekend, look for another job, "
        "lose the client, call an emergency meeting",
        "make a copy, save the file, call the office, note the changes, "
        "forward the message, close the folder",
    ),
    sequels=Toned(
        "praise the whole team, solve the problem, meet every deadline, earn a promotion",
        "blame the others, break the printer, forget the password, sleep through the meeting",
        "answer the phone, order more paper, open a new folder, leave at five",
    ),
    places="in the office, at headquarters, on the third floor, in the conference room, "
    "before the meeting, at the branch office",
    sources="from the sales department, from the law firm, from the other offices, "
    "from the foreign branches",
)

SCHOOL = Topic(
    agents="teacher, professor, tutor, lecturer, principal, instructor",
    male="headmaster",
    female="headmistress",
    things="lesson, lecture, course, class, seminar, workshop, tutorial, module, field trip, "
    "training session",
    mass="",
    acts=Toned(
        "improve, simplify, enrich, rescue",
        "neglect, cancel, rush, ruin, waste",
        "plan, begin, finish, prepare, repeat, introduce, organize",
    ),
    uses="attend, join, choose, take",
    worth=Toned(
        "interesting, inspiring, clear, useful, engaging, stimulating, enjoyable, lively",
        "boring, confusing, pointless, dull, tedious, difficult, stressful, monotonous",
        "about roman history, in room twelve, on the timetable, for beginners, open to everyone, "
        "an hour long, in english, part of the program",
    ),
    kinds="daily, weekly, short, introductory, advanced, optional",
    skill=Toned("encouraging, wise", "strict, unfair", "in the staff room, at the blackboard"),
    reactions=Toned(
        "learn a great deal, get top marks, sign up for more, ask clever questions, "
        "pass the test easily, discover a new hobby",
        "fall asleep, fail the test, drop the subject, learn nothing, stare at the clock, "
        "forget the main point",
        "take notes, open the book, borrow a pencil, sit near the door, write a short essay, "
        "copy the diagram",
    ),
    sequels=Toned(
        "answer every question patiently, make everyone laugh, encourage shy students, "
        "reward good work",
        "lose the homework, shout at the class, ignore the questions, mix up the names",
        "write on the board, collect the papers, close the door, hand out the forms",
    ),
    places="in the library, in the main hall, on campus, in the classroom, at the college, "
    "at the language school",
    sources="from the science department, from the evening school, from the local colleges, "
    "from the older grades",
)

TOPICS = {
    "food": FOOD,
    "film": FILM,
    "travel": TRAVEL,
    "sport": SPORT,
    "work": WORK,
    "school": SCHOOL,
}

GUESTS = {
    "he": "brother, father, uncle, son, grandfather",
    "she": "sister, mother, aunt, daughter, grandmother",
    "he or she": "cousin, neighbor, friend, roommate",
    "they": "parents, friends, cousins, neighbors, grandparents, children",
}
CHARACTER = Toned(
    "friendly, polite, kind, helpful, patient, cheerful",
    "rude, lazy, careless, impatient, grumpy, arrogant",
    "on the phone, in the next room, away, ready, busy, alone, out of town, nearby",
)
ROLES = "young, new, older, local, tall"
FEELINGS = {"positive": "love, like, enjoy, adore, recommend", "negative": "hate, dislike, regret"}
HABITS = "these days, nowadays, this season, this year"
LASTING = {"past": "back then, at first, for years", "present": HABITS, "future": "one day, in the end"}
OPINIONS = {"positive": "like, trust, admire, adore", "negative": "dislike, distrust, resent, hate"}
MANNERS = Toned(
    "carefully, skillfully, beautifully, perfectly, with great care, with real passion",
    "carelessly, badly, clumsily, terribly, without any care, without enthusiasm",
    "as usual, once again, as planned, for the first time, after a short break, "
    "without a word, on request, by chance",
)
DEGREES = {"positive": "really, very, truly, incredibly", "negative": "really, very, rather, terribly"}
TIMES = {
    "past": "yesterday, last night, last week, last month, last weekend, two days ago, a week ago, "
    "earlier today, the other day, that evening",
    "present": "right now, at the moment, today, this week",
    "future": "tomorrow, tonight, next week, next month, next weekend, in two days, later today, "
    "tomorrow evening, in a few days",
}
HEDGES = {"past": "finally, once", "present": "still, currently", "future": "probably, soon"}
COUNTS = "two, three, several, some, many"
