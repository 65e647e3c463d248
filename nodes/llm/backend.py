"""The LLM backend: tracker, promoter and generator as prompts to chat models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda

from langgraph_cooper.nodes.backend import GeneratorInput, PromoterInput, TrackerInput
from langgraph_cooper.nodes.language.thoughts import strip_thoughts
from langgraph_cooper.nodes.llm.call import Question, UnreadableError, ask, prompt_limit
from langgraph_cooper.nodes.llm.faults import capped_short
from langgraph_cooper.nodes.llm.material import (
    delimited,
    fitting,
    prompt_line,
    tokens_of,
    transcript,
)
from langgraph_cooper.nodes.llm.parsing import (
    MAX_WRITTEN_SUMMARY,
    NOTHING,
    distinct,
    read_candidates,
    read_summary,
    whole_sentences,
    without_repeats,
)
from langgraph_cooper.nodes.llm.reply import clean_reply
from langgraph_cooper.nodes.llm.watch import QUIET
from langgraph_cooper.nodes.state import MAX_TOPIC, Candidate
from langgraph_cooper.nodes.subjects.in_play import subjects_in_play
from langgraph_cooper.prompts import TaskSpec, fill
from langgraph_cooper.ranker.data.dialogue import Utterance

# Number of last utterances in a prompt; the state summaries cover the earlier ones.
PROMPT_UTTERANCES = 24
# Up to this many utterances the generator gets no topics (the paper's released settings).
WARMING_UP = 2
REPAIR_TOKENS = 80  # of a prompt's limit, for what was wrong with an unreadable answer
TOOL_CALLS = ("tool_calls", "function_call")  # keys of a message's additional_kwargs

# Caps on the answers, for a slow server; a model that needs more gets more (`quirks.Habits.room`).
SUMMARY_TOKENS = 110  # four short sentences
CANDIDATE_TOKENS = 40  # a topic of fifteen words and its strategy, as JSON
WORD_TOKENS = 2.5  # of a reply; English takes 1.3, other languages and shorter words more

RESPONSE_FORMAT = {
    "type": "json_schema",
    "json_schema": {
        "name": "candidates",
        "strict": True,
        "schema": {
            "type": "object",
            "additionalProperties": False,
            "required": ["candidates"],
            "properties": {
                "candidates": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["topic", "strategy"],
                        "properties": {
                            "topic": {"type": "string"},
                            "strategy": {"type": "string"},
                        },
                    },
                }
            },
        },
    },
}


def llm_tracker(task: TaskSpec, model: BaseChatModel) -> Runnable[TrackerInput, str]:
    """Build a state tracker that asks a model to update its summary."""

    def prompt(given: TrackerInput) -> list[BaseMessage]:
        return bounded(partial(written, given), given["said"], model)

    def written(given: TrackerInput, said: Sequence[Utterance]) -> list[BaseMessage]:
        aspect = given["aspect"]
        system = fill(
            task.prompts.tracker,
            _common(task) | {"aspect": aspect.name, "summarise": aspect.summarise},
        )
        so_far = delimited("summary-so-far", _summary(given["previous"]))
        new = delimited("dialogue", transcript(task, said) or NOTHING)
        return [SystemMessage(system), HumanMessage(f"{so_far}\n\n{new}")]

    def read(_: TrackerInput, answer: AIMessage) -> str:
        if summary := read_summary(_written(answer)):
            return summary
        raise UnreadableError("There is no summary in that. Answer with the summary alone.")

    quiet = model.with_config(QUIET)
    names = task.aspect_names
    tokens = SUMMARY_TOKENS
    return ask(Question("tracker", names, quiet, model, prompt, read, None, lambda _: tokens))


def llm_promoter(
    task: TaskSpec, model: BaseChatModel, bank: Runnable[PromoterInput, list[Candidate]]
) -> Runnable[PromoterInput, list[Candidate]]:
    """Build an aspect promoter that asks a model for candidates, as JSON if the endpoint can.

    Args:
        task: The task.
        model: The chat model.
        bank: Returns the task's own candidates, which fill up a list that is too short.
    """

    def prompt(given: PromoterInput) -> list[BaseMessage]:
        history = given["history"][-PROMPT_UTTERANCES:]
        return bounded(partial(_promoter_prompt, task, given), history, model)

    quiet = model.with_config(QUIET)
    names = task.aspect_names

    def tokens(given: PromoterInput) -> int:
        return CANDIDATE_TOKENS * given["m"]

    step = ask(Question("promoter", names, quiet, model, prompt, _read, RESPONSE_FORMAT, tokens))

    def promote(given: PromoterInput, config: RunnableConfig) -> list[Candidate]:
        found = step.invoke(given, config)
        short = len(found) < given["m"]
        return _filled(given, found, bank.invoke(given, config) if short else [])

    async def apromote(given: PromoterInput, config: RunnableConfig) -> list[Candidate]:
        found = await step.ainvoke(given, config)
        short = len(found) < given["m"]
        return _filled(given, found, await bank.ainvoke(given, config) if short else [])

    return RunnableLambda(promote, afunc=apromote, name="promote")


def _promoter_prompt(
    task: TaskSpec, given: PromoterInput, history: Sequence[Utterance]
) -> list[BaseMessage]:
    aspect = given["aspect"]
    values = {
        "aspect": aspect.name,
        "propose": aspect.propose,
        "m": given["m"],
        "strategies": "; ".join(aspect.offered),
    }
    state = delimited("state-summary", _summary(given["state"]))
    said = delimited("dialogue", transcript(task, history) or NOTHING)
    system = fill(task.prompts.promoter, _common(task) | values)
    return [SystemMessage(system), HumanMessage(f"{state}\n\n{said}")]


def _read(given: PromoterInput, answer: AIMessage) -> list[Candidate]:
    text, strategies = answer.text, given["aspect"].offered
    texts: list[str] = [text]
    if capped_short(answer):  # up to the last candidate, or the last sentence, that is complete
        texts = [text[: max(text.rfind("}"), text.rfind("\n")) + 1], whole_sentences(text)]
    for whole in texts:
        if found := read_candidates(whole, strategies):
            return found[: given["m"]]
    raise UnreadableError(
        "No candidates can be read in that. Answer with JSON alone, in this form: "
        '{"candidates": [{"topic": "...", "strategy": "..."}]}'
    )


def _filled(
    given: PromoterInput, found: Sequence[Candidate], more: Sequence[Candidate]
) -> list[Candidate]:
    return distinct([*found, *more])[: given["m"]]


def llm_generator(task: TaskSpec, model: BaseChatModel) -> Runnable[GeneratorInput, AIMessage]:
    """Build a generator that asks a model to say the top-K candidates (paper: COOPER(PT-G))."""

    def prompt(given: GeneratorInput) -> list[BaseMessage]:
        history, topics = given["history"], given["topics"]
        if len(history) <= WARMING_UP:
            topics = ()
        listed = "\n".join(
            f"- {prompt_line(t['topic'], MAX_TOPIC)} ({t['aspect']})" for t in topics
        )
        outlines = delimited("outlines", listed or "- (begin as the moment asks)")
        values = {"topics": outlines, "words": task.reply_words}
        system = fill(task.prompts.generator, _common(task) | values)
        notices = [s.notice for s in subjects_in_play(task.subjects, history) if s.notice]
        instructions = SystemMessage(" ".join([system, *notices]))

        def written(said: Sequence[Utterance]) -> list[BaseMessage]:
            if len(said) == len(history) or len(history) == 1:
                return [instructions, *_as_messages(said)]
            if len(said) > 1 and said[0].speaker == "system":
                said = said[1:]
            told = _earlier(task, given.get("states", {}))
            return [SystemMessage(instructions.text + told), *_as_messages(said)]

        return bounded(written, history[-PROMPT_UTTERANCES:], model)

    def spoken(_: GeneratorInput, answer: AIMessage) -> AIMessage:
        return said(answer, clean_reply(_written(answer), task))

    def shown(_: GeneratorInput, answer: AIMessage) -> AIMessage:
        # The guard must check, and the thread keep, all of what was on the screen.
        return said(answer, _written(answer) and strip_thoughts(answer.text).strip())

    def said(answer: AIMessage, text: str) -> AIMessage:
        if not text:
            raise UnreadableError("That says nothing. Answer with the utterance alone.")
        # Neither thoughts nor calls of tools become part of the message.
        kept = {k: v for k, v in answer.additional_kwargs.items() if k not in TOOL_CALLS}
        bare = {"content": text, "additional_kwargs": kept, "tool_calls": []}
        return answer.model_copy(update={**bare, "invalid_tool_calls": []})

    def tokens(_: GeneratorInput) -> int:
        return round(WORD_TOKENS * task.reply_words)

    names = task.aspect_names
    return ask(Question("generator", names, model, model, prompt, spoken, None, tokens, shown))


def _written(answer: AIMessage) -> str:
    """Return an answer without its thoughts.

    One that was cut off is read to its last whole sentence, and each sentence once.
    """
    text = strip_thoughts(answer.text).strip()
    return without_repeats(whole_sentences(text)) if capped_short(answer) else text


def _earlier(task: TaskSpec, states: Mapping[str, str]) -> str:
    """Return the part of the generator's prompt that stands for a beginning that is left out."""
    lines = {name: prompt_line(text, MAX_WRITTEN_SUMMARY) for name, text in states.items()}
    known = "\n".join(f"- {name}: {line}" for name, line in lines.items() if line)
    if not known:
        return ""
    summaries = delimited("summaries", known)
    return "\n\n" + fill(task.prompts.earlier, _common(task) | {"summaries": summaries})


def _summary(text: str) -> str:
    """Return a summary for a prompt, bounded again: it may come from a host graph's state."""
    return prompt_line(text, MAX_WRITTEN_SUMMARY) or NOTHING


def _common(task: TaskSpec) -> dict[str, object]:
    return {
        "title": task.title,
        "goal": task.goal,
        "user_role": task.user_role,
        "system_role": task.system_role,
    }


def bounded(
    prompt: Callable[[Sequence[Utterance]], list[BaseMessage]],
    said: Sequence[Utterance],
    model: BaseChatModel | None = None,
) -> list[BaseMessage]:
    """Return the prompt with as much of the end of the dialogue as the turn's limit allows.

    Args:
        prompt: Makes the prompt with an end of the dialogue.
        said: The dialogue.
        model: Whose server may count more tokens; None: our count holds.
    """
    room = prompt_limit(model) - REPAIR_TOKENS - tokens_of(prompt([]))
    return prompt(fitting(said, room))


def _as_messages(said: Sequence[Utterance]) -> list[BaseMessage]:
    """Return a dialogue as messages; many endpoints want the user's first."""
    messages: list[BaseMessage] = [
        (HumanMessage if one.speaker == "user" else AIMessage)(prompt_line(one.text) or "…")
        for one in said
    ]
    if not messages or isinstance(messages[0], AIMessage):
        messages.insert(0, HumanMessage("(The conversation begins; you speak first.)"))
    return messages
