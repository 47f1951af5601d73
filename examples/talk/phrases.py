"""What this example understands, and what it says to it. No sound here."""

import random
import re
from datetime import datetime

NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
WORDS = """
    hello | world | good morning | good evening | good night | thank you | music | coffee | sunshine
    | holiday | yellow | purple | orange | monday | friday | summer | winter | python | london
"""
GRAMMAR = f"""#JSGF V1.0;
grammar talk;
public <command> = [please] <request> | <repeat> | <stop>;
<request> = <greeting> | <time> | <day> | <count> | <die>;
<greeting> = hello | hi there | good morning | good evening | how are you;
<time> = what time is it [now] | (what is | tell me) the time;
<day> = what day is it [today];
<count> = count to <number>;
<number> = {" | ".join(NUMBERS)};
<die> = (roll | throw) (a die | the dice | two dice);
<repeat> = repeat after me <words> [<words>] [<words>];
<words> = {WORDS};
<stop> = stop [it] | be quiet | goodbye;
"""
"""The sentences that PocketSphinx listens for; nothing else is ever heard."""

SORRY = "Sorry, I did not understand that."
HINT = "You can ask me what time it is, or say: count to five. Roll a die. Repeat after me."


def answer(heard: str, now: datetime | None = None, dice: random.Random | None = None) -> str:
    """What to say to a sentence of the grammar, or to something else ("")."""
    now = now or datetime.now()
    dice = dice or random.Random()
    request = re.sub(r"\bplease\b", "", heard).strip()
    if request.startswith("repeat after me"):
        return request.removeprefix("repeat after me").strip().capitalize() + "."
    if request.startswith("count to"):
        last = NUMBERS.index(request.split()[-1]) + 1
        return " ".join(f"{number.capitalize()}." for number in NUMBERS[:last])
    if "time" in request:
        return f"It is {now.hour} hours and {now.minute} minutes."
    if "day" in request:
        return f"Today is {now:%A}."
    if "die" in request or "dice" in request:
        return roll(dice, 2 if "two" in request else 1)
    if request.startswith(("stop", "be quiet")):
        return "Okay."
    if request == "goodbye":
        return "Goodbye. It was nice to talk to you."
    if request == "how are you":
        return "I am fine, thank you."
    if request:
        return f"{request.capitalize()}! {HINT}"
    return SORRY


def roll(dice: random.Random, count: int) -> str:
    """Throws dice and says what they show."""
    shown = [dice.randint(1, 6) for _ in range(count)]
    if count == 1:
        return f"You rolled a {shown[0]}."
    return f"You rolled {' and '.join(str(eyes) for eyes in shown)}. That makes {sum(shown)}."
