"""Three agent tasks whose answers a program can check: tool calls, shell commands, look-ups in notes.

Items are drawn by code from a seed. Every value that can stand in a prompt (a name, a place, a file, a number) belongs
either to training or to the held-out items, so a held-out prompt never repeats a training prompt, nor the values in it.
"""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, get_args

Split = Literal["train", "held-out"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class Item:
    """One exchange: what the system and the user say, and the answer that counts as right."""

    system: str
    user: str
    answer: str


@dataclass(frozen=True)
class Task:
    """A family of items. `accepts(answer, output)` says whether a model's output is as good as the right answer."""

    name: str
    title: str
    draw: Callable[[Random, Split], Item]
    accepts: Callable[[str, str], bool]

    def items(self, split: Split, count: int, seed: int = 0) -> list[Item]:
        """`count` items of `split`, no two alike. The first n of a longer list are the list of length n.

        Raises ValueError when the task has too few different items.
        """
        random = Random(f"{self.name}/{split}/{seed}")  # noqa: S311 - nothing secret is drawn
        drawn: dict[Item, None] = {}
        for _ in range(100 * count):
            if len(drawn) == count:
                break
            drawn.setdefault(self.draw(random, split))
        if len(drawn) < count:
            raise ValueError(f"the task {self.name} has fewer than {count} different items for {split}")
        return list(drawn)


@dataclass(frozen=True)
class Pool:
    """Values for one kind of placeholder; one in four is held out."""

    values: Sequence[str]

    def split(self, split: Split) -> list[str]:
        """The values that items of `split` may use."""
        return [value for i, value in enumerate(self.values) if (i % 4 == 3) == (split == "held-out")]


def pool(words: str) -> Pool:
    """The words of one string as a pool; an underscore stands for a blank."""
    return Pool([word.replace("_", " ") for word in words.split()])


POOLS: dict[str, Pool] = {
    "city": pool(
        "Lisbon Oslo Nairobi Osaka Lima Toronto Vienna Cairo Dublin Sydney Boston Prague Madrid Seoul Denver Athens "
        "Warsaw Havana Delhi Quito Geneva Austin Milan Zagreb"
    ),
    "person": pool(
        "Ana Ben Clara David Emma Felix Grace Hugo Iris Jonas Kate Leo Maria Noah Olga Paul Rosa Sam Tina Victor "
        "Wendy Xavier Yara Zoe Alice Bruno Carmen Dennis Elena Frank Gina Henry"
    ),
    "number": Pool([str(n) for n in range(2, 60)]),
    "code": Pool([str(n) for n in range(1009, 9999, 7)]),
    "topic": pool(
        "the_budget the_launch lunch the_report the_contract the_roadmap the_invoice the_party the_trip the_survey "
        "the_garden the_interview the_meeting the_concert the_parcel the_exam"
    ),
    "song": pool(
        "Blue_Monday Yesterday Imagine Hurt Thriller Africa Creep Wonderwall Jolene Hallelujah Fever Roxanne Dreams "
        "Bad Angie Help"
    ),
    "language": pool("French German Spanish Italian Dutch Polish Greek Swedish Turkish Danish Czech Finnish"),
    "word": pool(
        "error warning total apple login timeout failed river admin delete invoice python secret cherry retry network"
    ),
    "file": pool(
        "report.txt notes.md data.csv server.log main.py todo.txt users.csv access.log readme.md setup.sh config.yaml "
        "backup.sh prices.csv build.log letter.txt deploy.sh index.html test.py names.txt events.log run.sh draft.md "
        "orders.csv app.py"
    ),
    "dir": pool("src docs photos logs music scripts archive images models drafts videos assets data notes reports tmp"),
    "ext": pool("py txt csv log md json sh html png yaml js pdf"),
    "colour": pool("red blue green yellow purple orange white black brown pink grey silver"),
    "animal": pool("cat dog horse parrot rabbit turtle hamster goat lizard pony duck ferret"),
    "food": pool("pizza soup rice salad pasta sushi curry bread tacos cheese noodles pancakes"),
}


def fill(random: Random, split: Split, kinds: Sequence[str]) -> dict[str, str]:
    """A value of `split` for every placeholder. `file2` takes from the pool `file`, and never what `file` took."""
    values: dict[str, str] = {}
    for kind in kinds:
        free = [value for value in POOLS[kind.rstrip("2")].split(split) if value not in values.values()]
        values[kind] = random.choice(free)
    return values


# --- tool calls -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tool:
    """A tool as the model sees it, with the ways in which people ask for it.

    `arguments` maps an argument to the placeholder that it takes; arguments of the kind `number` are JSON numbers.
    """

    name: str
    arguments: Mapping[str, str]
    requests: Sequence[str]

    @property
    def signature(self) -> str:
        return json.dumps({"name": self.name, "arguments": dict.fromkeys(self.arguments, "...")})


TOOLS = (
    Tool("get_weather", {"city": "city"}, ("What is the weather in {city}?", "Is it raining in {city} right now?")),
    Tool("set_timer", {"minutes": "number"}, ("Set a timer for {number} minutes.", "Wake me in {number} minutes.")),
    Tool(
        "send_message",
        {"to": "person", "text": "topic"},
        ("Message {person} about {topic}.", "Write to {person}: {topic}."),
    ),
    Tool("play_song", {"title": "song"}, ("Play {song}.", "I want to hear {song}.")),
    Tool(
        "book_table",
        {"city": "city", "guests": "number"},
        ("Book a table for {number} in {city}.", "We are {number} people and want to eat in {city}."),
    ),
    Tool(
        "translate",
        {"word": "word", "language": "language"},
        ("How do you say {word} in {language}?", "Translate {word} to {language}."),
    ),
    Tool("call_contact", {"name": "person"}, ("Call {person}.", "Ring {person} for me, please.")),
    Tool(
        "convert_length",
        {"value": "number", "unit": "unit"},
        ("How long is {number} {unit} in the other system?", "Convert {number} {unit}."),
    ),
)
POOLS["unit"] = pool("miles meters inches feet yards kilometers")
OFFERED = 3
TOOL_SYSTEM = "Answer with the JSON of one tool call and nothing else. Tools:\n{tools}"


def draw_tool(random: Random, split: Split) -> Item:
    """A request, some tools to choose from, and the call that serves it."""
    tool = random.choice(TOOLS)
    offered = [tool, *random.sample([other for other in TOOLS if other is not tool], OFFERED - 1)]
    random.shuffle(offered)
    values = fill(random, split, list(tool.arguments.values()))
    arguments = {
        argument: int(values[kind]) if kind == "number" else values[kind] for argument, kind in tool.arguments.items()
    }
    return Item(
        system=TOOL_SYSTEM.format(tools="\n".join(tool.signature for tool in offered)),
        user=random.choice(tool.requests).format(**values) + "\nTool call:",
        answer=json.dumps({"name": tool.name, "arguments": arguments}),
    )


def same_json(answer: str, output: str) -> bool:
    """Whether the output is JSON, the whole of it, and equal to the answer; blanks and the order of keys are free."""
    try:
        given = json.loads(output)
    except (ValueError, RecursionError):
        return False
    # Canonical text, because Python holds 1 == 1.0 == True.
    return json.dumps(given, sort_keys=True) == json.dumps(json.loads(answer), sort_keys=True)


# --- shell ------------------------------------------------------------------------------------------------------------

SHELL_SYSTEM = "You work in a bash shell. Answer with one command and nothing else."
COMMANDS: tuple[tuple[Sequence[str], str, Sequence[str]], ...] = (
    (("file",), "wc -l {file}", ("Count the lines of {file}.", "How many lines does {file} have?")),
    (("number", "file"), "head -n {number} {file}", ("Show the first {number} lines of {file}.",)),
    (("number", "file"), "tail -n {number} {file}", ("Show the last {number} lines of {file}.",)),
    (("word", "file"), "grep {word} {file}", ("Show the lines of {file} that contain {word}.",)),
    (("word", "file"), "grep -c {word} {file}", ("How many lines of {file} contain {word}?",)),
    (("word", "dir"), "grep -rl {word} {dir}", ("Which files under {dir} contain {word}?",)),
    (("dir", "ext"), "find {dir} -name '*.{ext}'", ("Find all {ext} files under {dir}.",)),
    (("file", "dir"), "cp {file} {dir}/", ("Copy {file} into {dir}.", "Put a copy of {file} into {dir}.")),
    (("file", "dir"), "mv {file} {dir}/", ("Move {file} into {dir}.",)),
    (("file", "file2"), "mv {file} {file2}", ("Rename {file} to {file2}.",)),
    (("dir",), "du -sh {dir}", ("How much space does {dir} take?", "Show the total size of {dir}.")),
    (("file",), "chmod +x {file}", ("Make {file} executable.",)),
    (("file",), "sort -u {file}", ("Sort {file} and drop repeated lines.",)),
    (("file", "file2"), "diff {file} {file2}", ("Compare {file} with {file2}.",)),
    (("dir",), "tar -czf {dir}.tar.gz {dir}", ("Pack {dir} into a gzipped archive.", "Make {dir}.tar.gz of {dir}.")),
    (("dir",), "ls {dir} | wc -l", ("How many entries does {dir} have?", "Count the files in {dir}.")),
)


def draw_shell(random: Random, split: Split) -> Item:
    """A chore on files and the command that does it."""
    kinds, command, requests = random.choice(COMMANDS)
    values = fill(random, split, kinds)
    return Item(
        system=SHELL_SYSTEM,
        user=random.choice(requests).format(**values) + "\nCommand:",
        answer=command.format(**values),
    )


def same_command(answer: str, output: str) -> bool:
    """Whether both are one command of the same words; how they are quoted is free. Nothing is executed."""
    if "\n" in output.strip():
        return False
    try:
        return shlex.split(output) == shlex.split(answer)
    except ValueError:  # an open quote
        return False


# --- memory -----------------------------------------------------------------------------------------------------------

MEMORY_SYSTEM = "Look the answer up in the notes. A later note replaces an earlier one. Answer with the value alone."
FACTS = {
    "door code": "code",
    "home town": "city",
    "favourite colour": "colour",
    "pet": "animal",
    "favourite food": "food",
    "locker": "number",
}
PEOPLE_IN_NOTES = 3
FACTS_PER_PERSON = 2


def draw_memory(random: Random, split: Split) -> Item:
    """Six notes on three people, sometimes one that replaces another, and a question about one of them."""
    people = random.sample(POOLS["person"].split(split), PEOPLE_IN_NOTES)
    notes = [
        (person, fact, random.choice(POOLS[FACTS[fact]].split(split)))
        for person in people
        for fact in random.sample(list(FACTS), FACTS_PER_PERSON)
    ]
    random.shuffle(notes)
    person, fact, value = random.choice(notes)
    lines = [f"- {who}'s {what}: {which}" for who, what, which in notes]
    if random.random() < 1 / 3:
        value = random.choice([other for other in POOLS[FACTS[fact]].split(split) if other != value])
        lines.append(f"- {person}'s {fact}: {value}")
    user = "Notes:\n" + "\n".join(lines) + f"\nWhat is {person}'s {fact}?\nValue:"
    return Item(system=MEMORY_SYSTEM, user=user, answer=value)


def same_value(answer: str, output: str) -> bool:
    """Whether the output is the value and nothing else; case, blanks around it and a full stop at its end are free."""
    return output.strip().removesuffix(".").casefold() == answer.casefold()


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("tool", "tool calls: the JSON call that serves a request", draw_tool, same_json),
        Task("shell", "shell actions: the bash command that does a chore", draw_shell, same_command),
        Task("memory", "look-ups in notes that stand in the prompt", draw_memory, same_value),
    )
}
