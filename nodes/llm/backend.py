"""The LLM backend: tracker, promoter and generator as prompts to chat models."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda

from langgraph_cooper.nodes.backend import GeneratorInput, PromoterInput, TrackerInput
from langgraph_cooper.nodes.errors import ModelError
from langgraph_cooper.nodes.history import clean
from langgraph_cooper.nodes.llm.call import ask, refuses_request
from langgraph_cooper.nodes.llm.material import delimited, transcript
from langgraph_cooper.nodes.llm.models import describe, speaks_openai
from langgraph_cooper.nodes.llm.parsing import distinct, read_candidates, without_thoughts
from langgraph_cooper.nodes.state import Candidate
from langgraph_cooper.prompts import TaskSpec, fill
from langgraph_cooper.ranker.dialogue import Utterance

# LangGraph leaves the tokens of a model with this tag out of the stream: the agents' work is no
# part of what the person reads.
UNHEARD = ["nostream"]
Promote = Runnable[PromoterInput, list[Candidate]]
# Utterances that a promoter and the generator read; the state summaries hold what went before.
RECENT = 24
# With no more than two utterances the generator gets no topics (the paper's released settings).
WARMING_UP = 2

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
    """A state tracker that asks a model to bring its summary up to date."""

    def prompt(given: TrackerInput) -> list[BaseMessage]:
        aspect = given["aspect"]
        system = fill(
            task.prompts.tracker,
            _common(task) | {"aspect": aspect.name, "summarise": aspect.summarise},
        )
        so_far = delimited("summary-so-far", given["previous"] or "(nothing yet)")
        said = delimited("dialogue", transcript(task, given["said"]) or "(nothing yet)")
        return [SystemMessage(system), HumanMessage(f"{so_far}\n\n{said}")]

    def read(_: TrackerInput, answer: AIMessage) -> str:
        return clean(without_thoughts(answer.text))

    return ask(model.with_config(tags=UNHEARD), model, prompt, read)


def llm_promoter(
    task: TaskSpec, model: BaseChatModel, bank: Runnable[PromoterInput, list[Candidate]]
) -> Runnable[PromoterInput, list[Candidate]]:
    """An aspect promoter that asks a model for candidates, as JSON where the endpoint can.

    Args:
        task: The task.
        model: The chat model.
        bank: Gives candidates of the task's own, marked as such, for a list that is too short.
    """
    steps = _PromoterSteps(task, model)

    def promote(given: PromoterInput, config: RunnableConfig) -> list[Candidate]:
        step = steps.best
        try:
            found = step.invoke(given, config)
        except ModelError as error:
            found = steps.plainer(step, error).invoke(given, config)
        short = len(found) < given["m"]
        return _filled(given, found, bank.invoke(given, config) if short else [])

    async def apromote(given: PromoterInput, config: RunnableConfig) -> list[Candidate]:
        step = steps.best
        try:
            found = await step.ainvoke(given, config)
        except ModelError as error:
            found = await steps.plainer(step, error).ainvoke(given, config)
        short = len(found) < given["m"]
        return _filled(given, found, await bank.ainvoke(given, config) if short else [])

    return RunnableLambda(promote, afunc=apromote, name="promote")


class _PromoterSteps:
    """Asking for candidates: as structured output, or plainly where the endpoint refuses that."""

    def __init__(self, task: TaskSpec, model: BaseChatModel) -> None:
        def step(asked: Runnable[LanguageModelInput, AIMessage]) -> Promote:
            quiet = asked.with_config(tags=UNHEARD)
            return ask(quiet, model, lambda given: _promoter_prompt(task, given), _read)

        self._plain = step(model)
        structured = speaks_openai(model)
        self.best = step(model.bind(response_format=RESPONSE_FORMAT)) if structured else self._plain

    def plainer(self, failed: Promote, error: ModelError) -> Promote:
        """The step to take after one that failed; raises the error where there is no other.

        The parser needs no schema, so an endpoint that does not know `response_format` is asked
        without, from now on.
        """
        if failed is self._plain or not refuses_request(error):
            raise error
        self.best = self._plain
        return self.best


def _promoter_prompt(task: TaskSpec, given: PromoterInput) -> list[BaseMessage]:
    aspect, history = given["aspect"], given["history"][-RECENT:]
    values = {
        "aspect": aspect.name,
        "propose": aspect.propose,
        "m": given["m"],
        "strategies": "; ".join(aspect.strategies),
    }
    state = delimited("state-summary", given["state"] or "(nothing yet)")
    said = delimited("dialogue", transcript(task, history) or "(nothing yet)")
    system = fill(task.prompts.promoter, _common(task) | values)
    return [SystemMessage(system), HumanMessage(f"{state}\n\n{said}")]


def _read(given: PromoterInput, answer: AIMessage) -> list[Candidate]:
    return read_candidates(answer.text, given["aspect"].strategies)[: given["m"]]


def _filled(
    given: PromoterInput, found: Sequence[Candidate], more: Sequence[Candidate]
) -> list[Candidate]:
    return distinct([*found, *more])[: given["m"]]


def llm_generator(task: TaskSpec, model: BaseChatModel) -> Runnable[GeneratorInput, AIMessage]:
    """A generator that asks a model to say the top-K candidates (COOPER(PT-G) in the paper)."""

    def prompt(given: GeneratorInput) -> list[BaseMessage]:
        history, topics = given["history"], given["topics"]
        if len(history) <= WARMING_UP:
            topics = ()
        listed = "\n".join(f"- {clean(topic['topic'])} ({topic['aspect']})" for topic in topics)
        values = {"topics": listed or "- (begin as the moment asks)", "words": task.reply_words}
        system = fill(task.prompts.generator, _common(task) | values)
        return [SystemMessage(system), *_as_messages(history)]

    def spoken(_: GeneratorInput, answer: AIMessage) -> AIMessage:
        text = without_thoughts(answer.text).strip()
        if not text:
            raise ModelError(
                f"{describe(model)} gave an empty reply; send the message again", "nonsense"
            )
        # Only what is said to the person becomes a message.
        return answer if text == answer.content else answer.model_copy(update={"content": text})

    return ask(model, model, prompt, spoken)


def _common(task: TaskSpec) -> dict[str, object]:
    return {
        "title": task.title,
        "goal": task.goal,
        "user_role": task.user_role,
        "system_role": task.system_role,
    }


def _as_messages(history: Sequence[Utterance]) -> list[BaseMessage]:
    """The end of the dialogue as messages, the user's side first as many endpoints want it."""
    recent = list(history[-RECENT:])
    if len(recent) < len(history) and recent[0].speaker == "system":
        recent = recent[1:]
    messages: list[BaseMessage] = [
        HumanMessage(said.text) if said.speaker == "user" else AIMessage(said.text)
        for said in recent
    ]
    if not messages or isinstance(messages[0], AIMessage):
        messages.insert(0, HumanMessage("(The conversation begins; you speak first.)"))
    return messages
